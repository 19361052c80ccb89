import BackupModel
import Scheduling

#if canImport(Glibc)
  import Glibc
#endif

/// From the file's tree to checked values. Everything that is wrong is reported; a part that is wrong is left out.
struct ConfigurationReader {
  let path: String

  /// Nil where something is missing without which the rest means nothing; a problem has been reported then.
  func read(_ place: Place) -> Configuration? {
    guard MappingReader(place, keys: RootKeys.section.keys) != nil else { return nil }
    let sections = Dictionary(
      (MappingReader.pairs(place) ?? []).map { ($0.name, place.child($0.value, $0.name)) }, uniquingKeysWith: { $1 })
    func section(_ name: String) -> Place? {
      if let section = sections[name] { return section }
      place.report("the key \"\(name)\" is missing")
      return nil
    }
    let daemon = readDaemon(sections["daemon"] ?? place.child("", "daemon"))
    let clusters = section("clusters").map(readClusters)
    let repository = section("repository").flatMap(readRepository)
    let jobs = sections["jobs"].map { readJobs($0, clusters: clusters) } ?? []
    let tiers = sections["tiers"].map { readTiers($0, clusters: clusters) } ?? []
    let alerts = sections["alerts"].map { readAlerts($0, clusters: clusters, tiers: tiers) } ?? []
    let heartbeat = sections["heartbeat"].flatMap(readHeartbeat)
    let monitoring = readMonitoring(sections["monitoring"] ?? place.child("", "monitoring"))
    let metrics = readMetrics(sections["metrics"] ?? place.child("", "metrics"))
    guard let daemon, let clusters, let repository, let monitoring else { return nil }
    let configuration = Configuration(
      path: path, daemon: daemon, clusters: clusters.map(\.value), repository: repository.value,
      jobs: jobs.map(\.value), alerts: alerts, heartbeat: heartbeat, monitoring: monitoring, tiers: tiers,
      metrics: metrics)
    ConfigurationChecks(
      daemon: daemon, clusters: clusters, stores: repository.stores, jobs: jobs,
      daemonPlace: sections["daemon"] ?? place
    ).run()
    return configuration
  }

  /// A value and where it stands, for the checks that look at several.
  struct Placed<Value> {
    var value: Value
    var place: Place
  }

  private func readDaemon(_ place: Place) -> DaemonSettings? {
    guard let reader = MappingReader(place, keys: DaemonKeys.section.keys) else { return nil }
    let stateDirectory = reader.value(DaemonKeys.stateDirectory)
    let socket = reader.value(DaemonKeys.socket)
    let adminGroup = reader.value(DaemonKeys.adminGroup)
    let workers = reader.value(DaemonKeys.workers)
    let history = reader.value(DaemonKeys.history)
    let groupPlace = reader.has(DaemonKeys.groups) ? reader.place(of: DaemonKeys.groups) : place.child("", "groups")
    let groups = MappingReader(groupPlace, keys: GroupKeys.section.keys)
    let backup = groups?.value(GroupKeys.backup)
    let validation = groups?.value(GroupKeys.validation)
    let monitoring = groups?.value(GroupKeys.monitoring)
    guard let stateDirectory, let socket, let history, let backup, let validation, let monitoring else { return nil }
    return DaemonSettings(
      stateDirectory: stateDirectory, socket: socket, adminGroup: adminGroup,
      workers: workers ?? min(max(sysconf(CInt(_SC_NPROCESSORS_ONLN)), 1), 4), history: history,
      widths: GroupWidths(backup: backup, validation: validation, monitoring: monitoring))
  }

  private func readClusters(_ place: Place) -> [Placed<ClusterSettings>] {
    let entries = MappingReader.entries(place, as: ClusterID.self)
    if entries.isEmpty, place.problems.problems.isEmpty { place.report("must name at least one cluster") }
    return entries.compactMap { id, place in
      guard let reader = MappingReader(place, keys: ClusterKeys.section.keys) else { return nil }
      let dataDirectory = reader.value(ClusterKeys.dataDirectory)
      let password = reader.value(ClusterKeys.password)
      let standby = reader.value(ClusterKeys.standby)
      let programs = reader.value(ClusterKeys.programs)
      // A cluster whose connection is wrong still exists: jobs that name it are not dangling.
      let connection = reader.value(ClusterKeys.connection) ?? ""
      return Placed(
        value: ClusterSettings(
          id: id, connection: connection, standby: standby, dataDirectory: dataDirectory, password: password,
          programs: programs),
        place: place)
    }
  }

  private func readRepository(_ place: Place) -> (value: RepositorySettings, stores: [Placed<StoreSettings>])? {
    guard let reader = MappingReader(place, keys: RepositoryKeys.section.keys) else { return nil }
    let encryption = reader.value(RepositoryKeys.encryption)
    guard reader.value(RepositoryKeys.stores) != nil else { return nil }
    let storesPlace = reader.place(of: RepositoryKeys.stores)
    let entries = MappingReader.entries(storesPlace, as: StoreID.self)
    if entries.isEmpty, place.problems.problems.isEmpty { storesPlace.report("must name at least one store") }
    let stores = entries.compactMap { id, place in
      readStore(id, place).map { Placed(value: $0.value, place: $0.place) }
    }
    guard let encryption else { return nil }
    return (RepositorySettings(encryption: encryption, stores: stores.map(\.value)), stores)
  }
}
