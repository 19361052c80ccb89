public import BackupModel

/// Which backup a drill restores.
public enum DrillPick: String, Sendable, Hashable, CaseIterable { case newest, random }

/// Where a drill's replay stops.
public enum DrillTarget: String, Sendable, Hashable, CaseIterable { case latest, random }

/// What only drills have.
public struct DrillSettings: Sendable, Hashable {
  public var runs: RunSettings
  public var pick: DrillPick
  public var target: DrillTarget
  /// Restore from this store alone.
  public var store: StoreID?
  /// The operator's checks, an SQL file.
  public var checks: String?
  public var checkTimeout: Duration
  public var amcheck: Bool
  /// Where the scratch directory is made; nil is below the state directory.
  public var scratch: String?
  /// Where PostgreSQL's programs are; nil looks in the usual places.
  public var programs: String?
  /// Libraries that replay cannot do without.
  public var preload: String?
}
