import BackupModel

/// The keys below `monitoring`.
enum MonitoringKeys {
  static let interval = Key(
    "interval", .duration("1s", "1h"), .standard("30s"),
    "How often servers, stores, disks and jobs are looked at; what the stores hold is read every tenth time. What is wrong is raised within it, and over once it was right for two."
  )
  static let grace = Key(
    "grace", .duration("0s", "7d"), .standard("5m"),
    "How much later than its schedule and the usual length of its runs allow a job may succeed before that is a condition."
  )
  static let physicalAge = Key(
    "physical-age", .duration("1s", "3650d"), .computed("as the schedules allow; `24h` for jobs without one"),
    "How old the newest physical backup of a cluster may be.")
  static let logicalAge = Key(
    "logical-age", .duration("1s", "3650d"), .computed("as the schedules allow; `8h` for jobs without one"),
    "How old the newest dump of a cluster's databases may be.")
  static let tablesAge = Key(
    "tables-age", .duration("1s", "3650d"), .computed("as the schedules allow; `1h` for jobs without one"),
    "How old the newest dump of a cluster's critical tables may be.")
  static let sizeDrop = Key(
    "size-drop", .count(1...99), .standard("30"),
    "By how many percent a backup may be smaller than the median of those before it.")
  static let lagLimit = Key(
    "lag-limit", .duration("1s", "365d"), .standard("15m"),
    "How long a store of durability `eventual` may lack something that the others hold.")
  static let clockSkew = Key(
    "clock-skew", .duration("1s", "10m"), .standard("60s"),
    "How far the clocks of this host and of a server may be apart. Beyond ten minutes prune deletes nothing.")
  static let diskForecast = Key(
    "disk-forecast", .duration("1m", "30d"), .standard("6h"),
    "How long before a disk will be full it is told, from the trend of the last hours.")
  static let section = Section(
    path: "monitoring",
    sentence: "When something is wrong enough to be told; all optional. See `docs/operations/conditions.md`.",
    keys: [
      interval.declaration, grace.declaration, physicalAge.declaration, logicalAge.declaration, tablesAge.declaration,
      sizeDrop.declaration, lagLimit.declaration, clockSkew.declaration, diskForecast.declaration,
    ])
}

extension ConfigurationReader {
  /// Nil where something is wrong with it; a problem has been reported then.
  func readMonitoring(_ place: Place) -> MonitoringSettings? {
    guard let reader = MappingReader(place, keys: MonitoringKeys.section.keys) else { return nil }
    let interval = reader.value(MonitoringKeys.interval)
    let grace = reader.value(MonitoringKeys.grace)
    let sizeDrop = reader.value(MonitoringKeys.sizeDrop)
    let lagLimit = reader.value(MonitoringKeys.lagLimit)
    let clockSkew = reader.value(MonitoringKeys.clockSkew)
    let diskForecast = reader.value(MonitoringKeys.diskForecast)
    let physical = reader.value(MonitoringKeys.physicalAge)
    let logical = reader.value(MonitoringKeys.logicalAge)
    let tables = reader.value(MonitoringKeys.tablesAge)
    guard let interval, let grace, let sizeDrop, let lagLimit, let clockSkew, let diskForecast else { return nil }
    return MonitoringSettings(
      interval: interval, grace: grace, physicalAge: physical, logicalAge: logical, tablesAge: tables,
      sizeDropPercent: sizeDrop, lagLimit: lagLimit, clockSkew: clockSkew, diskForecast: diskForecast)
  }
}
