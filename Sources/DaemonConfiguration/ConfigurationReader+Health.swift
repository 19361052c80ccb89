import BackupModel

extension ConfigurationReader {
  func readHealth(_ reader: MappingReader) -> HealthSettings? {
    let runs = readRuns(reader, retries: DrillKeys.retries)
    let restore = reader.value(HealthKeys.restore)
    let dumps = reader.value(HealthKeys.dumps)
    let checks = reader.value(HealthKeys.checks)
    let checkTimeout = reader.value(DrillKeys.checkTimeout)
    let server = reader.value(HealthKeys.server)
    let password = reader.value(HealthKeys.serverPassword)
    let sizeLimit = reader.value(HealthKeys.sizeLimit)
    guard let runs, let restore, let checkTimeout else { return nil }
    return HealthSettings(
      runs: runs, restores: restore, dumps: dumps, checks: checks, checkTimeout: checkTimeout, server: server,
      serverPassword: password, sizeLimit: sizeLimit)
  }
}

extension ConfigurationChecks {
  func checkHealth() {
    for job in jobs {
      guard case .check(let health) = job.value.kind, let dumps = health.dumps else { continue }
      let logical = jobs.map(\.value).filter { other in
        if case .logical = other.kind { other.cluster == job.value.cluster } else { false }
      }
      if logical.contains(where: { $0.id == dumps }) { continue }
      let names = logical.map(\.id.rawValue)
      job.place.report(
        "its cluster has no job \"\(dumps)\" of kind logical",
        advice: Suggestion.text(for: dumps.rawValue, in: names)
          ?? (names.isEmpty ? nil : "known are " + names.joined(separator: ", ")))
    }
  }
}
