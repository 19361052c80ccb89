import ArgumentParser
import BackupModel
import ControlProtocol

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How well the clusters are protected, and what is wrong.",
    discussion: "Exit status 3 says that a condition is raised.", example: "backupctl status --watch")

  @Flag(help: "Show it anew every two seconds until interrupted.")
  var watch = false
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if watch && shared.json { throw ValidationError("--watch and --json cannot be used together.") }
  }

  func run() throws {
    if watch {
      let cancellation = Interruption.cancellation()
      return try StatusWatch.run(shared.client(cancellation), cancellation)
    }
    let status = try shared.client().status()
    shared.show(status.json) { StatusText(status).text }
    if !status.conditions.isEmpty { throw ExitCode(ExitStatus.conditions) }
  }
}

/// The daemon's status for people: first what is wrong, then how far back a restore can go.
struct StatusText {
  let status: DaemonStatus
  private let time = LocalTime()

  init(_ status: DaemonStatus) { self.status = status }

  var text: String {
    ([conditions] + status.clusters.map(cluster) + [stores, jobs, running, daemon]).compactMap { $0 }.joined(
      separator: "\n\n")
  }

  private var daemon: String {
    """
    backupd \(status.version), pid \(status.pid), started \(time.listed(status.startedAt)); \
    \(status.configurationPath) read \(time.listed(status.configurationLoadedAt))
    """.styled(.faint)
  }

  private var conditions: String? {
    guard !status.conditions.isEmpty else { return nil }
    return status.conditions.map { condition in
      let word = condition.severity.rawValue.uppercased().styled(condition.severity == .critical ? .bad : .warning)
      var lines = ["\(word) \(condition.report.summary) (since \(time.listed(condition.since)))"]
      if let detail = condition.report.detail { lines.append(ErrorOutput.labelled("DETAIL", detail)) }
      if let hint = condition.report.hint { lines.append(ErrorOutput.labelled("HINT", hint)) }
      return lines.joined(separator: "\n")
    }.joined(separator: "\n")
  }

  private func cluster(_ cluster: ClusterStatus) -> String {
    var lines = ["cluster \(cluster.name)".styled(.strong)]
    if cluster.windows.isEmpty { lines.append("  recoverable  " + "nothing yet".styled(.warning)) }
    for (number, window) in cluster.windows.enumerated() {
      let label = number == 0 ? "  recoverable  " : "               "
      lines.append("\(label)\(time.text(window.from)) to \(time.full(window.to)), timeline \(window.timeline)")
    }
    // One store alone says what the line above says.
    for store in cluster.stores where cluster.stores.count > 1 {
      let newest = store.windows.last.map { "\(time.text($0.from)) to \(time.full($0.to))" }
      lines.append("  in \(store.store) alone: " + (newest ?? "nothing".styled(.warning)))
    }
    let backup = cluster.lastBackup.map {
      "\($0.id), \($0.kind.rawValue), \(time.listed($0.finished)), \($0.totalBytes)"
    }
    lines.append("  last backup  " + (backup ?? "none".styled(.warning)))
    if let wal = cluster.wal { lines.append("  WAL          " + WALStatusText.line(wal)) }
    return lines.joined(separator: "\n")
  }

  /// What does not lag needs no line.
  private var stores: String? {
    let lines = status.stores.filter { $0.missingObjects > 0 || $0.error != nil }.map { store in
      let lag = store.lagSeconds.map { ", behind for \(DurationText.format(.seconds(Int64($0))))" } ?? ""
      let error = store.error.map { ": \($0.summary)" } ?? ""
      return "store \(store.name) (\(store.durability)) lacks \(store.missingObjects) objects, \(store.missingBytes)"
        + lag + error
    }
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  private var jobs: String? { status.jobs.isEmpty ? nil : JobsCommand.table(status.jobs, time).text() }

  private var running: String? {
    guard !status.running.isEmpty else { return nil }
    return status.running.map { run in
      let progress = run.progress.map { ": " + ProgressMeter.line($0, rate: 0) } ?? ""
      return "running \(run.job) \(run.run)\(progress)"
    }.joined(separator: "\n")
  }
}
