internal import BackupModel

/// At which of the server's times which position of its WAL was all there was: what tells how much a store lacks of the
/// present. A value; one receiver fills it, in the order of the WAL.
struct ServerClocks: Sendable {
  struct Point: Sendable {
    var lsn: LSN
    /// The server's clock: no transaction that ended before lies behind ``lsn``.
    var clock: Timestamp
    /// The same moment by a clock that nobody sets.
    var moment: ContinuousClock.Instant
  }

  /// Points so near each other are one.
  static let spacing: Duration = .seconds(1)
  /// A store that is away for days must not cost memory.
  static let limit = 4096

  private(set) var points: [Point] = []

  /// - Parameter lowest: No store is asked about that holds less.
  mutating func note(_ point: Point, lowest: LSN) {
    guard let last = points.last else {
      points = [point]
      return
    }
    // Received again after the connection was lost: known already, and from the time it was new.
    guard point.lsn >= last.lsn else { return }
    if point.lsn == last.lsn {
      if point.moment >= last.moment { points[points.count - 1] = point }
      return
    }
    let isNear = points.dropLast().last.map { point.moment - $0.moment < Self.spacing } ?? false
    if isNear { points[points.count - 1] = point } else { points.append(point) }
    forget(below: lowest)
  }

  private mutating func forget(below lowest: LSN) {
    // The newest point that the store with the least has reached is still asked for.
    let first = points.lastIndex { $0.lsn <= lowest } ?? 0
    points.removeFirst(first)
    if points.count > Self.limit {
      points = points.enumerated().filter { $0.offset % 2 == 0 || $0.offset == points.count - 1 }.map(\.element)
    }
  }

  /// The newest moment up to which all is before a position; nil where nothing is known of so early a one.
  func point(at lsn: LSN) -> Point? { points.last { $0.lsn <= lsn } }
}
