public import BackupModel
public import BlockingWork
public import Storage

/// The server's clock at a moment when all its WAL was held: `wal/<timeline>/<segment>.partial/<end>-at-<clock>`.
///
/// Written while the server is idle, less and less often. It is what lets a restore to a time after the last commit be
/// called complete: no transaction ended between `end` and `clock`.
public struct WALClock: Sendable, Hashable, Codable {
  public static let formatVersion = 1
  public var format: Int
  public var timeline: TimelineID
  /// End of the server's WAL at that moment.
  public var end: LSN
  public var clock: Timestamp

  public init(timeline: TimelineID, end: LSN, clock: Timestamp) {
    format = Self.formatVersion
    self.timeline = timeline
    self.end = end
    self.clock = clock
  }

  /// The object's last name component: the position and the clock's microseconds, 16 hexadecimal digits each.
  var component: String {
    let clock = UInt64(bitPattern: clock.microseconds)
    return Hexadecimal.padded(end.value, digits: 16, uppercase: true) + "-at-"
      + Hexadecimal.padded(clock, digits: 16, uppercase: true)
  }

  /// What a name says; nil where it is no clock's. Only the document itself is authentic.
  init?(component: String, timeline: TimelineID) {
    let text = Array(component.utf8)
    guard text.count == 36, component.dropFirst(16).hasPrefix("-at-"),
      let end = UInt64(component.prefix(16), radix: 16), let clock = UInt64(component.suffix(16), radix: 16)
    else { return nil }
    self.init(timeline: timeline, end: LSN(end), clock: Timestamp(microseconds: Int64(bitPattern: clock)))
  }

  public func objectName(_ lineage: Lineage, _ segment: WALSegment, size: WALSegmentSize) -> ObjectName {
    ObjectName(composed: "\(lineage.walSlicesPrefix(segment, size: size))/\(component)")
  }
}

extension Repository {
  /// Puts a clock into one store. One that is there already says the same.
  public func putClock(
    _ clock: WALClock, _ name: ObjectName, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    do {
      try putDocument(clock, name, in: store, cancellation: cancellation)
    } catch StorageError.alreadyExists {
      return
    }
  }
}
