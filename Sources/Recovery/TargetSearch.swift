internal import BackupModel
internal import Repository

/// Remembers, while backups are tried one after another, why the target was not reached and what could be.
struct TargetSearch {
  private struct Window {
    var start: ManifestHeader
    var stretch: WALStretch
  }
  private let options: RestoreOptions
  private let path: TimelinePath
  /// One for each stretch of WAL without a gap, newest first.
  private var windows: [Window] = []
  private var names: Set<String> = []
  private var withoutWAL: [BackupID] = []
  private var elsewhere: [BackupID] = []
  var reason: String?

  init(options: RestoreOptions, path: TimelinePath) {
    self.options = options
    self.path = path
  }

  /// The WAL after a backup's start; nil where the backup is on another timeline or lacks WAL up to its end.
  mutating func stretch(after header: ManifestHeader, _ wal: WALCatalog) throws -> WALStretch? {
    guard let piece = path.index(of: header.timeline, reaching: header.stopLSN) else {
      elsewhere.append(header.id)
      return nil
    }
    guard let stretch = try WALStretch(wal, from: header.startLSN, piece: piece, of: path),
      stretch.end.lsn >= header.stopLSN
    else {
      withoutWAL.append(header.id)
      return nil
    }
    if case .name = options.target { names.formUnion(try stretch.restorePoints().map(\.name)) }
    if let last = windows.last, last.stretch.end == stretch.end {
      windows[windows.count - 1].start = header
    } else {
      windows.append(Window(start: header, stretch: stretch))
    }
    return stretch
  }

  /// End of WAL means all of it: where some lies behind a gap, stopping at the gap must be asked for.
  func checkNothingLiesBeyondAGap(_ stretch: WALStretch, _ wal: WALCatalog) throws {
    guard options.target == .endOfWAL, let last = wal.end(of: path.target), last > stretch.end.lsn else {
      return
    }
    throw RecoveryError.targetUnreachable(
      options.target,
      reason: "WAL is missing from \(stretch.end.lsn) on timeline \(stretch.end.timeline), and goes on up to \(last).",
      reachable: reachable)
  }

  func warnings(_ header: ManifestHeader, _ stretch: WALStretch, _ wal: WALCatalog) throws -> [String] {
    var warnings: [String] = []
    if !header.damagedPages.isEmpty {
      warnings.append("Backup \"\(header.id)\" holds \(header.damagedPages.count) pages whose checksums did not fit.")
    }
    for (store, report) in wal.failures.sorted(by: { $0.key < $1.key }) {
      warnings.append("Store \"\(store)\" did not answer and may hold more WAL: \(report.summary)")
    }
    if case .name(let name) = options.target {
      let points = try stretch.restorePoints().filter { $0.name == name }
      if points.count > 1 {
        let times = points.map(\.time.description).joined(separator: ", ")
        warnings.append("There are \(points.count) restore points of this name, at \(times); the first is used.")
      }
    }
    if !withoutWAL.isEmpty {
      warnings.append(
        "Newer backups lack WAL and were not used: \(withoutWAL.map(\.text).joined(separator: ", ")).")
    }
    return warnings
  }

  func failure() -> RecoveryError {
    .targetUnreachable(options.target, reason: reason ?? defaultReason, reachable: reachable)
  }

  private var defaultReason: String {
    if windows.isEmpty {
      if !withoutWAL.isEmpty { return "No backup has its WAL in the repository from its start to its end." }
      return "No backup lies on the way to timeline \(path.target)."
    }
    switch options.target {
    case .xid(let xid): return "No transaction \(xid) ends in the WAL after a backup."
    case .name(let name):
      let near = Self.nearest(to: name, in: names)
      return "No restore point of this name lies in the WAL after a backup."
        + (near.isEmpty ? " There is none at all." : " The nearest names are \(near.joined(separator: ", ")).")
    default: return "It lies before the end of \(options.backup == nil ? "the oldest" : "this") backup."
    }
  }

  private var reachable: [String] {
    windows.reversed().map { window in
      let from = "\(window.start.finished) (LSN \(window.start.stopLSN), backup \"\(window.start.id)\")"
      let end = "LSN \(window.stretch.completeEnd) on timeline \(window.stretch.end.timeline)"
      return "from \(from) to " + (window.stretch.lastKnown.map { "\($0) (\(end))" } ?? end)
    }
  }

  /// Up to five names, those that differ least first.
  private static func nearest(to name: String, in names: Set<String>) -> [String] {
    names.map { (Self.distance($0, name), $0) }.sorted { $0 < $1 }.prefix(5).map { "\"\($0.1)\"" }
  }

  /// How many characters must be changed, added or removed.
  private static func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (index, character) in a.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in b.indices {
        let cost = diagonal + (character == b[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(cost, row[column] + 1, row[column + 1] + 1)
      }
    }
    return row[b.count]
  }
}
