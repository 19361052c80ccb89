public import BackupModel
public import Repository

/// What happens while WAL is received and shipped: for the log, for conditions, for asking for a new base backup.
public enum WALEvent: Sendable {
  case connected(server: String, from: WALPosition)
  case slotCreated(String)
  /// Nothing more is taken from the server: the landing directory's disk is nearly full.
  case landingFull(String)
  case landingHasRoom
  /// Before the server's disk was full, as the job says; WAL is lost by it.
  case slotDropped(String, reason: String)
  /// How long the landing directory's disk lasts; nil where it does not fill.
  case landingForecast(Duration?)
  /// How long the server can keep the WAL that is not taken; nil where it need not, or nobody knows.
  case serverForecast(Duration?, SlotBacklog)
  /// How long it takes to make a page durable in the landing directory.
  case landingProbed(Duration)
  /// Seen before streaming began; it works, but deserves a look.
  case warned(ErrorReport)
  /// Streaming ended; it is tried again after `retryAfter`. `serverAnswers` unless the server is away, or not ready.
  case receivingFailed(ErrorReport, serverAnswers: Bool, attempts: Int, retryAfter: Duration)
  /// Streaming ended for good: only a person can make it go on.
  case receivingStopped(ErrorReport)
  /// WAL is missing for ever between two positions: only a new base backup makes later WAL usable.
  case gap(WALGap)
  case timelineFollowed(TimelineID, at: LSN)
  /// The server's timeline left the one that is held before `kept`, the end of what is held of it.
  case timelineForked(TimelineID, at: LSN, kept: WALPosition)
  /// A full segment is in every store.
  case stored(WALSegment)
  /// A store has got a full segment.
  case segmentTaken(WALSegment, by: StoreID)
  /// A store has got some more of an open segment.
  case sliceTaken(WALSegment, by: StoreID)
  case storeFailed(StoreID, ErrorReport, attempts: Int)
  /// It takes what it is sent, after it failed or for the first time.
  case storeRecovered(StoreID)
  /// Something that is stored could not be removed from the landing directory.
  case landingNotCleaned(ErrorReport)
}
