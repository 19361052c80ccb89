import BackupModel
import ControlProtocol

/// The daemon's status for people: first how near the present a restore leads, held against what is promised; then what
/// is wrong, then jobs. Of several clusters what fits a screen.
struct StatusText {
  let status: DaemonStatus
  private let time: LocalTime
  private let now: Timestamp
  /// Whether each cluster is shown with its spans, stores and WAL, and conditions with all they say.
  private let isDetailed: Bool
  private let width: Int

  /// - Parameters:
  ///   - isFull: Everything, however many lines it takes.
  ///   - width: Characters in a line of what is shown in brief.
  init(
    _ status: DaemonStatus, isFull: Bool = false, now: Timestamp = .now(), time: LocalTime = LocalTime(),
    width: Int? = Output.width()
  ) {
    self.status = status
    self.time = time
    self.now = now
    isDetailed = isFull || status.clusters.count == 1
    self.width = max(40, width ?? 100)
  }

  var text: String {
    let clusters = status.clusters.map(cluster)
    let parts: [String?] =
      isDetailed
      ? clusters + [conditions, stores, jobTable, running.isEmpty ? nil : running, daemon]
      : [clusters.joined(separator: "\n"), briefConditions, stores, [briefJobs, running].joined(), daemon]
    return parts.compactMap { $0 }.joined(separator: "\n\n")
  }

  // MARK: Clusters

  private func cluster(_ cluster: ClusterStatus) -> String {
    let tiers = status.tiers.filter { $0.cluster == cluster.name }
    let lines = [head(cluster)] + (isDetailed ? tiers.map(tierLine) + details(cluster) : tierBlock(tiers))
    return lines.joined(separator: "\n")
  }

  /// `oauth  recoverable to 12:03 (4s ago), from local, cloud (10m behind)`.
  private func head(_ cluster: ClusterStatus) -> String {
    let name = cluster.name.rawValue.styled(.strong) + "  "
    let best = cluster.roads.first
    guard let to = best?.to ?? cluster.windows.last?.to else {
      return name + "recoverable  " + "nothing yet".styled(.warning)
    }
    let stores = cluster.roads.filter { $0.store != nil }.map { place($0, best?.lossSeconds) }
    let from = stores.isEmpty ? "" : ", from " + stores.joined(separator: ", ")
    let text = "recoverable to \(time.listed(to, now: now))\(from)"
    return name + (isDetailed ? text : text.shortened(to: width - cluster.name.rawValue.count - 2))
  }

  /// What is a minute behind the best is worth a word.
  private func place(_ road: RecoveryRoad, _ best: Double?) -> String {
    let name = road.store?.rawValue ?? ""
    guard let loss = road.lossSeconds, let best, loss - best >= 60 else { return name }
    return "\(name) (\(Self.span(loss - best)) behind)"
  }

  /// `tokens  RPO 4s of 5m, RTO not measured (15m)`.
  private func tierLine(_ tier: TierStatus) -> String {
    var parts = ["RPO " + rpo(tier).styled(Self.emphasis(tier.rpoState)) + " of \(Self.span(tier.rpoSeconds))"]
    if let left = tier.breachSeconds { parts.append("breaks in \(Self.span(left))".styled(.warning)) }
    if let worst = tier.worstLossSeconds { parts.append("at most \(Self.span(worst)) in 24h") }
    let rto = tier.recoverySeconds.map(Self.span)?.styled(Self.emphasis(tier.rtoState)) ?? "not measured,"
    parts.append("RTO \(rto) of \(Self.span(tier.rtoSeconds))")
    var lines = ["  \(tier.name.rawValue.padded(to: 11))  " + parts.joined(separator: ", ")]
    if tier.recoverySeconds != nil { lines.append("               by the " + tier.recoveryBasis) }
    return lines.joined(separator: "\n")
  }

  private func rpo(_ tier: TierStatus) -> String {
    if let loss = tier.lossSeconds { return Self.span(loss) }
    return tier.rpoState == .missed ? "nothing" : "unknown"
  }

  /// Several tiers in a line: `tokens RPO 4s/5m RTO -/15m`.
  private func tierBlock(_ tiers: [TierStatus]) -> [String] {
    var lines: [(text: String, count: Int)] = []
    for tier in tiers {
      let words: [(String, Emphasis)] = [
        ("\(tier.name) RPO ", .plain), (rpo(tier), Self.emphasis(tier.rpoState)),
        ("/\(Self.span(tier.rpoSeconds)) RTO ", .plain),
        (tier.recoverySeconds.map(Self.span) ?? "-", Self.emphasis(tier.rtoState)),
        ("/\(Self.span(tier.rtoSeconds))", .plain),
      ]
      let count = words.reduce(0) { $0 + $1.0.count }
      let text = words.map { $0.0.styled($0.1) }.joined()
      if let last = lines.last, last.count + 3 + count <= width {
        lines[lines.count - 1] = (last.text + "   " + text, last.count + 3 + count)
      } else {
        lines.append(("  " + text, 2 + count))
      }
    }
    return lines.map(\.text)
  }

  private func details(_ cluster: ClusterStatus) -> [String] {
    var lines: [String] = []
    for (number, window) in cluster.windows.enumerated() {
      let label = number == 0 ? "  any instant  " : "               "
      lines.append(
        "\(label)\(time.text(window.from)) to \(time.full(window.to, now: now)), timeline \(window.timeline)")
    }
    // One store alone says what the line above says.
    for store in cluster.stores where cluster.stores.count > 1 {
      let newest = store.windows.last.map { "\(time.text($0.from)) to \(time.full($0.to, now: now))" }
      lines.append("  in \(store.store) alone: " + (newest ?? "nothing".styled(.warning)))
    }
    let backup = cluster.lastBackup.map {
      "\($0.id), \($0.kind.rawValue), \(time.listed($0.finished, now: now)), \($0.totalBytes)"
    }
    lines.append("  last backup  " + (backup ?? "none".styled(.warning)))
    for copy in status.copies where copy.cluster == cluster.name {
      lines.append("  copy in \(copy.store)  " + (text(copy) ?? "none".styled(.warning)))
    }
    if let wal = cluster.wal { lines.append("  WAL          " + WALStatusText.line(wal)) }
    return lines
  }

  private func text(_ copy: CopySummary) -> String? {
    guard let backup = copy.backup, let copied = copy.copied else { return nil }
    return "\(backup), copied \(time.listed(copied, now: now))"
  }

  // MARK: What is wrong

  private var conditions: String? {
    guard !status.conditions.isEmpty else { return nil }
    return status.conditions.map { condition in
      var lines = [line(condition)]
      if let detail = condition.report.detail { lines.append(ErrorOutput.labelled("DETAIL", detail)) }
      if let hint = condition.report.hint { lines.append(ErrorOutput.labelled("HINT", hint)) }
      return lines.joined(separator: "\n")
    }.joined(separator: "\n")
  }

  private func line(_ condition: Condition) -> String {
    let word = condition.severity.rawValue.uppercased().styled(condition.severity == .critical ? .bad : .warning)
    return "\(word) \(condition.sentence) (since \(time.listed(condition.since, now: now)))"
  }

  /// What is critical first; the rest is counted.
  private static let conditionsShown = 4

  private var briefConditions: String? {
    guard !status.conditions.isEmpty else { return nil }
    let sorted = status.conditions.enumerated().sorted {
      ($0.element.severity == .critical ? 0 : 1, $0.offset) < ($1.element.severity == .critical ? 0 : 1, $1.offset)
    }.map(\.element)
    var lines = sorted.prefix(Self.conditionsShown).map { condition in
      let word = condition.severity.rawValue.uppercased()
      let since = " (\(LocalTime.relative(condition.since, to: now)))"
      let text = condition.sentence.shortened(to: width - word.count - 1 - since.count)
      return "\(word.styled(condition.severity == .critical ? .bad : .warning)) \(text)\(since)"
    }
    let more = sorted.count - lines.count
    lines.append((more > 0 ? "\(more) more; " : "") + "what to do: backupctl status --full")
    return lines.joined(separator: "\n")
  }

  /// What does not lag needs no line.
  private var stores: String? {
    let lines = status.stores.filter { ($0.missingObjects ?? 0) > 0 || $0.error != nil }.map { store in
      let lag = store.lagSeconds.map { ", behind for \(Self.span($0))" } ?? ""
      let error = store.error.map { ": \($0.summary)" } ?? ""
      let lacks = store.missingObjects.map { "lacks \($0) objects, \(store.missingBytes ?? ByteCount(0))" }
      let text =
        "store \(store.name) (\(store.durability)) \(lacks ?? "could not be looked at")" + lag + error
      return isDetailed ? text : text.shortened(to: width)
    }
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  // MARK: Jobs

  private var jobTable: String? { status.jobs.isEmpty ? nil : JobsCommand.table(status.jobs, time).text() }

  /// `9 jobs, next hourly in 12m; failing: nightly (3 times)`.
  private var briefJobs: String {
    var text = "\(status.jobs.count) job\(status.jobs.count == 1 ? "" : "s")"
    let next = status.jobs.compactMap { job in job.nextRun.map { (job.name, $0) } }.min { $0.1 < $1.1 }
    if let next { text += ", next \(next.0) \(LocalTime.relative(next.1, to: now))" }
    let failing = status.jobs.filter { $0.consecutiveFailures > 0 }.map { "\($0.name) (\($0.consecutiveFailures)x)" }
    if !failing.isEmpty { text += "; failing: " + failing.joined(separator: ", ") }
    return text.shortened(to: width)
  }

  private var running: String {
    let lines = status.running.map { run in
      let progress = run.progress.map { ": " + ProgressMeter.line($0, rate: 0) } ?? ""
      return "running \(run.job) \(run.run)\(progress)"
    }
    if isDetailed { return lines.joined(separator: "\n") }
    let more = lines.count > 2 ? ["\(lines.count - 2) more runs"] : []
    return (lines.prefix(2).map { $0.shortened(to: width) } + more).map { "\n" + $0 }.joined()
  }

  private var daemon: String {
    let text = """
      backupd \(status.version), pid \(status.pid), started \(time.listed(status.startedAt, now: now)); \
      \(status.configurationPath) read \(time.listed(status.configurationLoadedAt, now: now))
      """
    return (isDetailed ? text : text.shortened(to: width)).styled(.faint)
  }

  // MARK: Words

  static func emphasis(_ state: ObjectiveState) -> Emphasis {
    switch state {
    case .met: .good
    case .endangered: .warning
    case .missed: .bad
    case .unknown: .plain
    }
  }

  static func span(_ seconds: Double) -> String {
    let whole = max(0, min(seconds, 1e10))
    return whole < 1 ? "0s" : DurationText.format(.seconds(Int64(whole)))
  }
}
