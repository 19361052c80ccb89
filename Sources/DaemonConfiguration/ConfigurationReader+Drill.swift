import BackupModel

extension ConfigurationReader {
  func readDrill(_ reader: MappingReader) -> DrillSettings? {
    let runs = readRuns(reader, retries: DrillKeys.retries)
    let checkTimeout = reader.value(DrillKeys.checkTimeout)
    let amcheck = reader.value(DrillKeys.amcheck)
    let pick = reader.value(DrillKeys.pick)
    let target = reader.value(DrillKeys.target)
    let store = reader.value(DrillKeys.store)
    let checks = reader.value(DrillKeys.checks)
    let scratch = reader.value(DrillKeys.scratch)
    let programs = reader.value(DrillKeys.programs)
    let preload = reader.value(DrillKeys.preload)
    guard let runs, let checkTimeout, let amcheck, let pick, let target else { return nil }
    return DrillSettings(
      runs: runs, pick: pick, target: target, store: store, checks: checks, checkTimeout: checkTimeout,
      amcheck: amcheck, scratch: scratch, programs: programs, preload: preload)
  }
}

extension ConfigurationChecks {
  /// A drill that cannot look at anything proves nothing.
  func checkDrills() {
    for job in jobs {
      guard case .drill(let drill) = job.value.kind else { continue }
      if let store = drill.store, !stores.contains(where: { $0.value.id == store }) {
        let names = stores.map(\.value.id.rawValue)
        job.place.report(
          "there is no store \"\(store)\"",
          advice: Suggestion.text(for: store.rawValue, in: names) ?? "known are " + names.joined(separator: ", "))
      }
      if drill.checks == nil, !drill.amcheck, !hasHeartbeat(job.value.cluster) {
        job.place.report(
          "the drill has nothing to look at",
          advice: "name a file with checks, leave amcheck on, or set heartbeat: true on the wal job of its cluster")
      }
      checkScratch(drill, job)
    }
  }

  private func hasHeartbeat(_ cluster: ClusterID) -> Bool {
    jobs.contains { job in
      if case .wal(let wal) = job.value.kind { job.value.cluster == cluster && wal.heartbeat } else { false }
    }
  }

  private func checkScratch(_ drill: DrillSettings, _ job: Placed<JobSettings>) {
    guard let scratch = drill.scratch else { return }
    for cluster in clusters {
      guard let directory = cluster.value.dataDirectory, AbsolutePath.isInside(scratch, directory) else { continue }
      job.place.report("scratch lies inside the data directory of cluster \"\(cluster.value.id)\"")
    }
    for store in stores {
      guard let path = store.value.path, AbsolutePath.isInside(scratch, path) else { continue }
      job.place.report("scratch lies inside the path of store \"\(store.value.id)\"")
    }
  }
}
