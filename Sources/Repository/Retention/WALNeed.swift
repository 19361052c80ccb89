internal import BackupModel

/// WAL that has to stay, by position alone, on all timelines: WAL of an abandoned branch goes when the backups are past it.
struct WALNeed: Sendable {
  /// What one backup needs to become consistent.
  struct Span: Sendable, Hashable {
    var start: LSN
    var stop: LSN
  }

  /// Everything from here on: the recovery window.
  var from: LSN
  /// And these.
  var spans: [Span]

  func contains(_ start: LSN, _ end: LSN) -> Bool {
    end > from || spans.contains { start <= $0.stop && end > $0.start }
  }
}
