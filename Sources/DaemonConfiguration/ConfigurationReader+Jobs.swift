import BackupModel
import Scheduling

extension ConfigurationReader {
  func readJobs(_ place: Place, clusters: [Placed<ClusterSettings>]?) -> [Placed<JobSettings>] {
    MappingReader.entries(place, as: JobID.self).compactMap { id, place in
      readJob(id, place, clusters: clusters).map { Placed(value: $0, place: place) }
    }
  }

  private func readJob(_ id: JobID, _ place: Place, clusters: [Placed<ClusterSettings>]?) -> JobSettings? {
    guard let pairs = MappingReader.pairs(place) else { return nil }
    guard let kindNode = pairs.first(where: { $0.name == JobKeys.kind.name })?.value else {
      place.report("the key \"kind\" is missing", advice: "write kind: physical, kind: wal or kind: copy")
      return nil
    }
    // Of a job of a kind that is not known, no key can be judged.
    guard let kind = JobKeys.kind.type.read(place.child(kindNode, JobKeys.kind.name)),
      let reader = MappingReader(place, keys: Self.keys(of: kind), elsewhere: Self.otherKeys(than: kind))
    else { return nil }

    let cluster = reader.value(JobKeys.cluster)
    if let cluster, let clusters { checkCluster(cluster, reader.place(of: JobKeys.cluster), clusters) }
    let settings: JobSettings.Kind? =
      switch kind {
      case .physical: readPhysical(reader).map { .physical($0) }
      case .wal: readWAL(reader, cluster: cluster).map { .wal($0) }
      case .copy: readCopy(reader).map { .copy($0) }
      }
    guard let cluster, let settings else { return nil }
    return JobSettings(id: id, cluster: cluster, kind: settings)
  }

  private static func keys(of kind: JobKindName) -> [KeyDeclaration] {
    switch kind {
    case .physical: JobKeys.common + JobKeys.physical + JobKeys.physicalLater
    case .wal: JobKeys.common + JobKeys.wal + JobKeys.walLater
    case .copy: JobKeys.common + JobKeys.copy
    }
  }

  /// Keys of other kinds, which are no slips of the pen.
  private static func otherKeys(than kind: JobKindName) -> (names: Set<String>, problem: String) {
    let others = JobKindName.allCases.filter { $0 != kind }.flatMap { keys(of: $0) }.map(\.name)
    let names = Set(others).subtracting(keys(of: kind).map(\.name))
    let reason = kind == .wal ? ", which run for as long as the daemon does" : ""
    return (names, "does not apply to jobs of kind \(kind.rawValue)\(reason)")
  }

  private func readPhysical(_ reader: MappingReader) -> PhysicalSettings? {
    let runs = readRuns(reader)
    let keep = reader.value(JobKeys.keep)
    let checkpoint = reader.value(JobKeys.checkpoint)
    let source = reader.value(JobKeys.source)
    let rate = reader.value(JobKeys.rate)
    let full = reader.value(JobKeys.full)
    let compression = reader.value(JobKeys.compression)
    let priority = reader.value(JobKeys.priority)
    guard let runs, let checkpoint, let source, let full, let compression, let priority else { return nil }
    return PhysicalSettings(
      checkpoint: checkpoint, source: source, keep: keep, rate: rate, full: full, compression: compression,
      priority: priority, runs: runs)
  }

  private func readCopy(_ reader: MappingReader) -> CopySettings? {
    let runs = readRuns(reader)
    let store = reader.value(JobKeys.destination)
    let keep = reader.value(JobKeys.copyKeep)
    guard let runs, let store else { return nil }
    return CopySettings(store: store, keep: keep, runs: runs)
  }

  /// What all jobs with a schedule have.
  private func readRuns(_ reader: MappingReader) -> RunSettings? {
    let schedule = reader.value(JobKeys.schedule)
    let timeZone = reader.has(JobKeys.timezone) ? reader.value(JobKeys.timezone) : hostZone(reader.place)
    let jitter = reader.value(JobKeys.jitter)
    let missed = reader.value(JobKeys.missed)
    let overlap = reader.value(JobKeys.overlap)
    let deadline = reader.value(JobKeys.deadline)
    let retries = reader.value(JobKeys.retries)
    let rank = reader.value(JobKeys.rank)
    guard let timeZone, let jitter, let missed, let overlap, let deadline, let retries, let rank else { return nil }
    return RunSettings(
      schedule: schedule, timeZone: timeZone, jitter: jitter, missed: missed, overlap: overlap, deadline: deadline,
      retries: retries, rank: rank)
  }

  private func hostZone(_ place: Place) -> TimeZoneRules? {
    do throws(SchedulingError) { return try TimeZoneRules.local() } catch {
      place.report("the host's time zone cannot be used: \(error.summary)", advice: "name one with timezone")
      return nil
    }
  }

  private func readWAL(_ reader: MappingReader, cluster: ClusterID?) -> WALSettings? {
    let window = reader.value(JobKeys.recoveryWindow)
    let interval = reader.value(JobKeys.partialInterval)
    let synchronous = reader.value(JobKeys.synchronous)
    var slot = reader.value(JobKeys.slot)
    if !reader.has(JobKeys.slot), let cluster {
      let name = "backupd_" + cluster.rawValue.map { $0 == "-" ? "_" : String($0) }.joined()
      if name.utf8.count > 63 {
        reader.place.report(
          "the name of cluster \"\(cluster)\" is too long for a slot name", advice: "name one with slot")
      } else {
        slot = name
      }
    }
    let streaming = reader.value(JobKeys.streaming)
    let acknowledge = reader.value(JobKeys.acknowledge)
    let onFull = reader.value(JobKeys.onFull)
    guard let interval, let slot, let streaming, let acknowledge, let onFull, let synchronous else { return nil }
    return WALSettings(
      slot: slot, recoveryWindow: window, partialInterval: interval, streaming: streaming, acknowledge: acknowledge,
      onFull: onFull, synchronous: synchronous)
  }
}
