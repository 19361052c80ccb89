public import BackupModel

/// What the records of one WAL segment, or of one slice of it, say about transactions: what maps a time, an xid or a
/// restore point's name to an LSN.
///
/// Sealed with the WAL it describes, so that a reader never decodes records.
public struct WALIndex: Sendable, Hashable {
  /// What ended a transaction.
  public enum Outcome: UInt8, Sendable, Hashable, Codable {
    case commit, abort, commitPrepared, abortPrepared
    public var isCommit: Bool { self == .commit || self == .commitPrepared }
  }

  /// The end of one transaction. A record belongs to the segment or slice that holds its last byte.
  public struct Entry: Sendable, Hashable {
    public var outcome: Outcome
    /// The transaction that ended; of a prepared transaction its own, not the one that finished it. Zero where the
    /// record was too large to look into.
    public var xid: UInt32
    /// The time PostgreSQL compares with `recovery_target_time`.
    public var time: Timestamp
    /// Where the record begins: what `pg_waldump` prints.
    public var start: LSN
    /// Where the next record may begin. Recovery that stops after this record needs WAL up to here.
    public var end: LSN

    public init(outcome: Outcome, xid: UInt32, time: Timestamp, start: LSN, end: LSN) {
      self.outcome = outcome
      self.xid = xid
      self.time = time
      self.start = start
      self.end = end
    }
  }

  /// A name made by `pg_create_restore_point()`.
  public struct RestorePoint: Sendable, Hashable {
    public var name: String
    public var time: Timestamp
    public var start: LSN
    public var end: LSN

    public init(name: String, time: Timestamp, start: LSN, end: LSN) {
      self.name = name
      self.time = time
      self.start = start
      self.end = end
    }
  }

  public var timeline: TimelineID
  /// First byte described.
  public var first: LSN
  /// End of the bytes described.
  public var end: LSN
  /// Where the last complete record ends; nil where none ends within these bytes.
  public var completeEnd: LSN?
  /// Where the record begins that these bytes leave unfinished; it may lie before ``first``.
  public var openRecord: LSN?
  /// The server's clock when it sent the last of these bytes.
  public var serverClock: Timestamp?
  /// Whether some record could not be read, so that entries may be missing.
  public var isPartial: Bool
  /// In the order of the WAL.
  public var entries: [Entry]
  public var restorePoints: [RestorePoint]

  public init(timeline: TimelineID, first: LSN, end: LSN) {
    self.timeline = timeline
    self.first = first
    self.end = end
    isPartial = false
    entries = []
    restorePoints = []
  }

  public var commits: Int { entries.reduce(0) { $0 + ($1.outcome.isCommit ? 1 : 0) } }
  public var aborts: Int { entries.count - commits }
  /// The lowest commit time; nil without a commit. Times in WAL are nearly, not strictly, in order.
  public var firstCommitTime: Timestamp? { entries.lazy.filter(\.outcome.isCommit).map(\.time).min() }
  /// The highest commit time.
  public var lastCommitTime: Timestamp? { entries.lazy.filter(\.outcome.isCommit).map(\.time).max() }

  /// What it says of a part of its bytes. ``completeEnd`` and ``openRecord`` are right where the part ends where this
  /// index ends.
  public func part(from first: LSN, to end: LSN) -> WALIndex {
    var part = self
    part.first = first
    part.end = end
    // A record's end is rounded up to eight bytes; such a record belongs to the part after its last byte, no harm done.
    part.entries = entries.filter { $0.end > first && $0.end <= end }
    part.restorePoints = restorePoints.filter { $0.end > first && $0.end <= end }
    return part
  }

  /// The index of two runs of bytes that follow one another.
  public mutating func append(_ next: WALIndex) {
    end = next.end
    completeEnd = next.completeEnd ?? completeEnd
    openRecord = next.openRecord
    serverClock = next.serverClock ?? serverClock
    isPartial = isPartial || next.isPartial
    entries += next.entries
    restorePoints += next.restorePoints
  }
}
