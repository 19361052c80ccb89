/// One way back to a state of a cluster or of some of its tables, and how much is lost on it if the server is lost now.
public struct RecoveryRoad: Sendable, Hashable, Codable {
  /// What its end rests on.
  public enum Means: String, Sendable, Hashable, Codable {
    /// WAL after a base backup.
    case wal
    /// A base backup alone.
    case physical
    /// A logical backup that holds all the tables in question.
    case logical
  }
  /// Nil: the daemon's landing directory, which is on another host than the server.
  public var store: StoreID?
  public var means: Means
  /// The newest backup that it can begin with.
  public var backup: BackupID?
  /// The newest instant it leads to, by the server's clock.
  public var to: Timestamp
  /// What happened since and would be lost; nil where the clocks disagree so far that nobody can say.
  public var lossSeconds: Double?

  public init(store: StoreID?, means: Means, backup: BackupID?, to: Timestamp, lossSeconds: Double?) {
    self.store = store
    self.means = means
    self.backup = backup
    self.to = to
    self.lossSeconds = lossSeconds
  }
}

/// How an objective is kept.
public enum ObjectiveState: String, Sendable, Hashable, Codable {
  case met
  /// Missed soon if nothing changes.
  case endangered
  case missed
  /// Not measured, or not known yet.
  case unknown
}

/// A tier's recovery point and recovery time, attained and promised.
public struct TierStatus: Sendable, Hashable, Codable {
  public var name: TierID
  public var cluster: ClusterID
  /// Empty: the whole cluster.
  public var tables: [String]
  /// The recovery point objective: what may be lost at most.
  public var rpoSeconds: Double
  /// What would be lost if the server were lost now; nil where nothing can be restored, or nobody knows.
  public var lossSeconds: Double?
  public var rpoState: ObjectiveState
  /// In how many seconds the RPO is missed if things go on as they do; nil where they need not worry.
  public var breachSeconds: Double?
  /// The most that could have been lost at some moment of the last 24 hours, as far as it was looked at.
  public var worstLossSeconds: Double?
  /// Ways back, the one that loses least first.
  public var roads: [RecoveryRoad]
  /// The recovery time objective: how long a restore may take.
  public var rtoSeconds: Double
  /// How long a restore would take today; nil where none was measured.
  public var recoverySeconds: Double?
  /// How that was obtained: a sentence.
  public var recoveryBasis: String
  public var rtoState: ObjectiveState

  public init(
    name: TierID, cluster: ClusterID, tables: [String], rpoSeconds: Double, rtoSeconds: Double, roads: [RecoveryRoad]
  ) {
    self.name = name
    self.cluster = cluster
    self.tables = tables
    self.rpoSeconds = rpoSeconds
    self.rtoSeconds = rtoSeconds
    self.roads = roads
    rpoState = .unknown
    rtoState = .unknown
    recoveryBasis = "not measured"
  }
}

/// How long the parts of one restore took, as a drill measured them.
public struct MeasuredRecovery: Sendable, Hashable, Codable {
  /// Bringing the files back.
  public var restoreSeconds: Double
  /// Replaying WAL up to the end.
  public var replaySeconds: Double
  /// Until the server took connections.
  public var startSeconds: Double
  /// Size of the files.
  public var bytes: ByteCount
  /// WAL that was replayed.
  public var walBytes: ByteCount
  public var at: Timestamp

  public init(
    restoreSeconds: Double, replaySeconds: Double, startSeconds: Double, bytes: ByteCount, walBytes: ByteCount,
    at: Timestamp
  ) {
    self.restoreSeconds = restoreSeconds
    self.replaySeconds = replaySeconds
    self.startSeconds = startSeconds
    self.bytes = bytes
    self.walBytes = walBytes
    self.at = at
  }
}
