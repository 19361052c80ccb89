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
      let kinds = JobKindName.allCases.map { "kind: \($0)" }
      place.report(
        "the key \"kind\" is missing",
        advice: "write \(kinds.dropLast().joined(separator: ", ")) or \(kinds[kinds.count - 1])")
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
      case .logical: readLogical(reader).map { .logical($0) }
      case .wal: readWAL(reader, cluster: cluster).map { .wal($0) }
      case .copy: readCopy(reader).map { .copy($0) }
      case .drill: readDrill(reader).map { .drill($0) }
      case .check: readHealth(reader).map { .check($0) }
      }
    guard let cluster, let settings else { return nil }
    return JobSettings(id: id, cluster: cluster, kind: settings)
  }

  private static func keys(of kind: JobKindName) -> [KeyDeclaration] {
    switch kind {
    case .physical: JobKeys.common + JobKeys.physical + JobKeys.physicalLater
    case .logical: JobKeys.common + JobKeys.logical + JobKeys.logicalLater
    case .wal: JobKeys.common + JobKeys.wal + JobKeys.walLater
    case .copy: JobKeys.common + JobKeys.copy
    case .drill: JobKeys.common + DrillKeys.all
    case .check: JobKeys.common + HealthKeys.all
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

  private func readLogical(_ reader: MappingReader) -> LogicalSettings? {
    let runs = readRuns(reader)
    let keep = reader.value(JobKeys.keep)
    let database = reader.value(JobKeys.database)
    let tables = reader.value(JobKeys.tables) ?? []
    let excluded = reader.value(JobKeys.excludeTables) ?? []
    let schemas = reader.value(JobKeys.schemas) ?? []
    let content = readContent(reader)
    let inserts = reader.value(JobKeys.inserts)
    let deferrable = reader.value(JobKeys.serializableDeferrable)
    let lockTimeout = reader.value(JobKeys.lockTimeout)
    let parallel = reader.value(JobKeys.parallel)
    let full = reader.value(JobKeys.logicalFull)
    let compression = reader.value(JobKeys.logicalCompression)
    guard let runs, let content, let inserts, let deferrable, let parallel, let full, let compression else {
      return nil
    }
    return LogicalSettings(
      database: database, tables: tables, excludedTables: excluded, schemas: schemas, content: content,
      inserts: inserts, serializableDeferrable: deferrable, lockTimeout: lockTimeout, parallel: parallel, keep: keep,
      full: full,
      compression: compression, runs: runs)
  }

  private func readContent(_ reader: MappingReader) -> LogicalSettings.Content? {
    guard let data = reader.value(JobKeys.dataOnly), let schema = reader.value(JobKeys.schemaOnly) else { return nil }
    if data, schema {
      reader.place(of: JobKeys.schemaOnly).report("\"data-only\" and \"schema-only\" together leave nothing")
      return nil
    }
    return data ? .data : schema ? .schema : .all
  }

  /// What all jobs with a schedule have.
  func readRuns(_ reader: MappingReader, retries retriesKey: Key<Int> = JobKeys.retries) -> RunSettings? {
    let schedule = reader.value(JobKeys.schedule)
    let timeZone = reader.has(JobKeys.timezone) ? reader.value(JobKeys.timezone) : hostZone(reader.place)
    let jitter = reader.value(JobKeys.jitter)
    let missed = reader.value(JobKeys.missed)
    let overlap = reader.value(JobKeys.overlap)
    let deadline = reader.value(JobKeys.deadline)
    let retries = reader.value(retriesKey)
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
    let heartbeat = reader.value(JobKeys.heartbeat)
    guard let interval, let slot, let streaming, let acknowledge, let onFull, let synchronous, let heartbeat else {
      return nil
    }
    return WALSettings(
      slot: slot, recoveryWindow: window, partialInterval: interval, streaming: streaming, acknowledge: acknowledge,
      onFull: onFull, synchronous: synchronous, heartbeat: heartbeat)
  }
}
