import BackupModel

/// What is right alone and wrong together.
struct ConfigurationChecks {
  typealias Placed = ConfigurationReader.Placed
  let daemon: DaemonSettings
  let clusters: [Placed<ClusterSettings>]
  let stores: [Placed<StoreSettings>]
  let jobs: [Placed<JobSettings>]
  let daemonPlace: Place

  func run() {
    checkStores()
    checkDataDirectories()
    checkWALJobs()
    checkSources()
    ArchiveChecks(stores: stores, jobs: jobs).run()
    checkDrills()
    checkHealth()
  }

  private func checkStores() {
    for (index, store) in stores.enumerated() {
      for earlier in stores[..<index] { check(store, against: earlier.value) }
    }
    // A host that only restores may name the archive alone.
    let isForReading = jobs.isEmpty && stores.allSatisfy { $0.value.durability == .onCopy }
    if !stores.isEmpty, !isForReading, stores.allSatisfy({ $0.value.durability != .required }) {
      stores[0].place.report(
        "is not required, and no other store is", advice: "a backup must be in some store before it counts")
    }
    for store in stores where store.value.durability == .required && store.value.keep != nil {
      let others = stores.filter { $0.value.id != store.value.id && $0.value.durability != .onCopy }
      if others.allSatisfy({ $0.value.keep != nil }) {
        store.place.report(
          "has a keep of its own, and no other store keeps what the jobs promise",
          advice: "leave out the keep of one store")
      }
    }
  }

  /// Two copies need two places.
  private func check(_ store: Placed<StoreSettings>, against earlier: StoreSettings) {
    switch (store.value.place, earlier.place) {
    case (.directory(let path), .directory(let other)):
      let (real, otherReal) = (AbsolutePath.resolved(path), AbsolutePath.resolved(other))
      if path == other {
        store.place.report("is the path of store \"\(earlier.id)\" as well: two copies need two places")
      } else if AbsolutePath.isSame(path, other) {
        store.place.report("leads to the path of store \"\(earlier.id)\", \"\(other)\": two copies need two places")
      } else if AbsolutePath.isInside(real, otherReal) || AbsolutePath.isInside(otherReal, real) {
        let inner = AbsolutePath.isInside(real, otherReal)
        store.place.report("\(inner ? "lies inside" : "contains") the path of store \"\(earlier.id)\", \"\(other)\"")
      }
    case (.s3(let place), .s3(let other)) where place.bucket == other.bucket && place.endpoint == other.endpoint:
      check(store, place.prefix, against: other.prefix, other.description, earlier.id)
    case (.gcs(let place), .gcs(let other)) where place.bucket == other.bucket && place.endpoint == other.endpoint:
      check(store, place.prefix, against: other.prefix, other.description, earlier.id)
    case (.sftp(let place), .sftp(let other)) where place.host == other.host && place.port == other.port:
      check(
        store, String(place.path.dropFirst()), against: String(other.path.dropFirst()), other.description, earlier.id)
    default: break
    }
  }

  /// Prefixes of one bucket, directories of one host.
  private func check(
    _ store: Placed<StoreSettings>, _ prefix: String, against other: String, _ location: String, _ id: StoreID
  ) {
    let (path, otherPath) = (prefix.isEmpty ? "/" : "/" + prefix, other.isEmpty ? "/" : "/" + other)
    if AbsolutePath.isInside(path, otherPath) || AbsolutePath.isInside(otherPath, path) {
      store.place.report("shares the place of store \"\(id)\", \(location): two copies need two places")
    }
  }

  private func checkDataDirectories() {
    for (index, cluster) in clusters.enumerated() {
      guard let directory = cluster.value.dataDirectory else { continue }
      let real = AbsolutePath.resolved(directory)
      for store in stores {
        guard let path = store.value.path, AbsolutePath.isInside(AbsolutePath.resolved(path), real) else { continue }
        store.place.report(
          "lies inside the data directory of cluster \"\(cluster.value.id)\", and would be lost with it",
          advice: "put the store elsewhere, best on another disk")
      }
      if AbsolutePath.isInside(AbsolutePath.resolved(daemon.stateDirectory), real) {
        daemonPlace.report("state-directory lies inside the data directory of cluster \"\(cluster.value.id)\"")
      }
      for earlier in clusters[..<index] where earlier.value.dataDirectory.map(AbsolutePath.resolved) == real {
        cluster.place.report("has the same data-directory as cluster \"\(earlier.value.id)\"")
      }
    }
  }

  private func checkSources() {
    for job in jobs {
      guard case .physical(let settings) = job.value.kind, settings.source == .direct else { continue }
      guard let cluster = clusters.first(where: { $0.value.id == job.value.cluster })?.value else { continue }
      if cluster.dataDirectory == nil {
        job.place.report(
          "source: direct needs the data-directory of cluster \"\(cluster.id)\"", advice: "name it there, or use auto")
      }
    }
  }

  private func checkWALJobs() {
    var first: [ClusterID: JobID] = [:]
    for job in jobs {
      guard case .wal = job.value.kind else { continue }
      if let other = first[job.value.cluster] {
        job.place.report("job \"\(other)\" streams the WAL of cluster \"\(job.value.cluster)\" already")
      } else {
        first[job.value.cluster] = job.value.id
      }
    }
  }
}
