import ArgumentParser
import BackupModel

struct WALCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "wal", abstract: "The WAL in the repository and on its way there.",
    example: "backupctl wal status",
    subcommands: [WALListCommand.self, WALGapsCommand.self, WALStatusCommand.self, WALFetchCommand.self])
}

struct WALStatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How far each cluster's WAL has come.", example: "backupctl wal status")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let clusters = try shared.client().walStatus()
    shared.show(.list(clusters)) {
      clusters.isEmpty ? "no job keeps WAL" : clusters.map(WALStatusText.full).joined(separator: "\n\n")
    }
  }
}

/// How far WAL has come, for people.
enum WALStatusText {
  /// A line for `status`.
  static func line(_ wal: WALStatus) -> String {
    var parts = [state(wal)]
    if let flushed = wal.flushedLSN { parts.append("safe to \(flushed)") }
    if let lag = lag(wal) { parts.append(lag) }
    if let error = wal.error { parts.append(error.summary) }
    return parts.joined(separator: ", ")
  }

  static func full(_ wal: WALStatus) -> String {
    var lines = ["cluster \(wal.cluster)".styled(.strong) + ": " + state(wal)]
    func add(_ name: String, _ value: String?) {
      if let value { lines.append("  \(name.padded(to: 9))  \(value)") }
    }
    add("server", wal.serverLSN.map { "\($0)" + (wal.timeline.map { ", timeline \($0)" } ?? "") })
    let rate = wal.bytesPerSecond.map { ", \(ByteCount(UInt64(max(0, $0)))) a second" } ?? ""
    add("received", wal.receivedLSN.map { "\($0)\(rate)" })
    add("flushed", wal.flushedLSN.map { [$0.description, lag(wal)].compactMap { $0 }.joined(separator: ", ") })
    for store in wal.stores {
      let lag = store.lagSeconds.map { ", \(DurationText.format(.microseconds(Int64($0 * 1e6)))) behind" } ?? ""
      add("store", "\(store.name) \(store.durableLSN?.description ?? "nothing yet")\(lag)")
    }
    add("slot", wal.slot)
    add("queued", wal.queuedSegments > 0 ? "\(wal.queuedSegments) segments" : nil)
    add("commits", commits(wal))
    add("heard", wal.lastMessage.map { LocalTime.relative($0) })
    if let error = wal.error { lines.append(ErrorOutput.labelled("ERROR", error.description)) }
    return lines.joined(separator: "\n")
  }

  private static func commits(_ wal: WALStatus) -> String? {
    guard let waits = wal.commitsWait else { return nil }
    if !waits { return "do not wait, although the job is synchronous".styled(.warning) }
    return wal.losesNothing == true
      ? "wait for this job: a lost server takes none along"
      : "wait for this job, which is on the server's own host: both can be lost at once"
  }

  private static func state(_ wal: WALStatus) -> String {
    wal.state.styled(wal.state == "streaming" ? .good : .warning)
  }

  private static func lag(_ wal: WALStatus) -> String? {
    guard let server = wal.serverLSN, let flushed = wal.flushedLSN else { return nil }
    let bytes = server - flushed
    return bytes == 0 ? "nothing behind the server" : "\(ByteCount(bytes)) behind the server"
  }
}
