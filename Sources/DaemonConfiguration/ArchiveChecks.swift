import BackupModel

/// What is right alone and wrong together about storage classes, on-copy stores and the jobs that fill them.
struct ArchiveChecks {
  typealias Placed = ConfigurationReader.Placed
  let stores: [Placed<StoreSettings>]
  let jobs: [Placed<JobSettings>]

  func run() {
    for store in stores { checkClasses(store) }
    for store in stores where store.value.durability == .onCopy { check(store) }
    checkJobs()
  }

  private func checkClasses(_ store: Placed<StoreSettings>) {
    let classes = store.value.storageClass
    if let packs = classes.packs, StorageClass(packs).isCold, store.value.durability != .onCopy {
      store.place.report(
        "packs of class \(packs) cannot be read at once, and this store is read from",
        advice: "use durability: on-copy and a job of kind copy, or a class such as GLACIER_IR")
    }
    if let other = classes.other, StorageClass(other).isCold {
      store.place.report(
        "manifests, page maps and WAL of class \(other) could not be read at once",
        advice: "leave out \"other\", or use a class such as STANDARD_IA")
    }
  }

  private func check(_ store: Placed<StoreSettings>) {
    if store.value.keep != nil {
      store.place.report("is on-copy and has a keep", advice: "say in the job of kind copy how long its copies stay")
    }
    let isFilled = jobs.contains { job in
      if case .copy(let settings) = job.value.kind { settings.store == store.value.id } else { false }
    }
    // Without jobs the file is one of a host that only restores.
    if !isFilled, !jobs.isEmpty {
      store.place.report(
        "is on-copy, and no job copies to it", advice: "add a job of kind copy to it, or another durability")
    }
  }

  private func checkJobs() {
    struct Target: Hashable {
      var cluster: ClusterID
      var store: StoreID
    }
    var first: [Target: JobID] = [:]
    let onCopy = stores.filter { $0.value.durability == .onCopy }.map(\.value.id)
    for job in jobs {
      guard case .copy(let settings) = job.value.kind else { continue }
      if !onCopy.contains(settings.store) {
        let known = onCopy.isEmpty ? "there is none" : "there is " + onCopy.map { "\"\($0)\"" }.joined(separator: ", ")
        job.place.report("to: \"\(settings.store)\" is not a store of durability on-copy", advice: known)
      }
      let target = Target(cluster: job.value.cluster, store: settings.store)
      if let other = first[target] {
        job.place.report("job \"\(other)\" copies cluster \"\(target.cluster)\" to store \"\(target.store)\" already")
      } else {
        first[target] = job.value.id
      }
      let isBackedUp = jobs.contains { other in
        if case .physical = other.value.kind { other.value.cluster == job.value.cluster } else { false }
      }
      if !isBackedUp {
        job.place.report("no job of kind physical takes backups of cluster \"\(job.value.cluster)\" that it could copy")
      }
    }
  }
}
