public import BackupModel
public import BlockingWork

/// Who receives the cluster's WAL while a base backup runs, and proves that it is stored.
public protocol WALProof: Sendable {
  /// Returns once WAL is being received, so that everything from now on will be held.
  /// - Returns: WAL is held from this position on.
  func begin(_ facts: WALProofFacts, cancellation: Cancellation) throws -> WALPosition
  /// Returns once all WAL from `start` to `stop` is durable in the required stores, or in one of them where the others
  /// keep failing.
  ///
  /// - Throws: The reason where it does not come.
  func waitUntilStored(
    from start: LSN, through stop: WALPosition, cancellation: Cancellation
  ) throws -> ProvenWAL
  /// The backup is over, one way or another.
  func end()
}

/// What was found in the stores' own listing.
public struct ProvenWAL: Sendable {
  /// Where it ends without a hole.
  public var end: LSN
  /// Required stores that lack some of it, and why.
  public var failures: [StoreID: ErrorReport]
  public init(end: LSN, failures: [StoreID: ErrorReport] = [:]) {
    self.end = end
    self.failures = failures
  }
}

/// What a receiver needs to know of the server.
public struct WALProofFacts: Sendable {
  public var systemIdentifier: SystemIdentifier
  public var timeline: TimelineID
  public var segmentSize: WALSegmentSize
  public init(systemIdentifier: SystemIdentifier, timeline: TimelineID, segmentSize: WALSegmentSize) {
    self.systemIdentifier = systemIdentifier
    self.timeline = timeline
    self.segmentSize = segmentSize
  }
}
