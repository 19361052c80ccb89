internal import BackupModel

/// What a cluster's server says: whether it answers, its clock, its slot, its archiver.
public enum ServerRules {
  /// Prune deletes nothing beyond this.
  private static let clockTolerance: Duration = .seconds(600)
  /// Segments that wait for the archiver: told from the first, over below the second.
  private static let manyReady = 64
  private static let fewReady = 32

  public static func judge(_ cluster: ClusterObservation, _ settings: MonitorSettings) -> [Judgement] {
    var judgements = [answers(cluster), clock(cluster, settings), archiver(cluster, settings), walThin(cluster)]
    if cluster.slot != nil { judgements.append(slot(cluster)) }
    return judgements
  }

  // MARK: Away

  static func answers(_ cluster: ClusterObservation) -> Judgement {
    let id = ConditionKind.server.id("\(cluster.cluster)")
    let hint = "See whether it runs and what its log says; \"backupctl wal status\" shows up to where its WAL is held."
    switch cluster.server {
    case .none: return Judgement(id, .unclear)
    case .value: return Judgement(id, .right)
    case .failed(let report, let isTransient):
      let wrong = ErrorReport(
        summary: "the server of cluster \"\(cluster.cluster)\" \(isTransient ? "is not ready" : "cannot be reached")",
        detail: [report.summary + ".", report.detail].compactMap { $0 }.joined(separator: " "),
        hint: report.hint ?? hint)
      // Whoever starts a server knows that it takes a moment.
      return isTransient
        ? Judgement(id, .wrong(.warning, wrong), delay: 2) : Judgement(id, .wrong(.critical, wrong), delay: 0.3)
    case .silent(let time):
      let wrong = ErrorReport(
        summary: "the server of cluster \"\(cluster.cluster)\" does not answer",
        detail: "It took the connection or the question, and has said nothing for \(DurationText.format(time.whole)).",
        hint: hint)
      return Judgement(id, .wrong(.critical, wrong))
    }
  }

  // MARK: Clock

  static func clock(_ cluster: ClusterObservation, _ settings: MonitorSettings) -> Judgement {
    let id = ConditionKind.clock.id("\(cluster.cluster)")
    guard let server = cluster.server.value else { return Judgement(id, .unclear) }
    let difference = server.clockAhead.magnitude
    if difference <= settings.clockSkew {
      return Judgement(id, difference <= settings.clockSkew / 2 ? .right : .unclear)
    }
    let stops = difference > clockTolerance
    let report = ErrorReport(
      summary: "the clocks of this host and of cluster \"\(cluster.cluster)\" differ",
      detail:
        "This host's is \(DurationText.format(difference.whole)) \(server.clockAhead < .zero ? "behind" : "ahead of") "
        + "the server's. Schedules, ages and recovery targets go by clocks"
        + (stops ? "; prune deletes nothing meanwhile." : "."),
      hint: "Correct the one that is wrong (\"timedatectl\", \"chronyc tracking\").")
    return Judgement(id, .wrong(stops ? .critical : .warning, report))
  }

  // MARK: Slot

  static func slot(_ cluster: ClusterObservation) -> Judgement {
    let name = cluster.slot ?? ""
    let id = ConditionKind.slot.id("\(cluster.cluster)")
    // Why WAL is not received is told by the receiver; that its slot is idle follows.
    let causes = [ConditionKind.server.id("\(cluster.cluster)"), "wal:\(cluster.cluster)"]
    guard let server = cluster.server.value else { return Judgement(id, .unclear) }
    func wrong(
      _ severity: Condition.Severity, _ what: String, _ detail: String, _ hint: String, delay: Double,
      causes: [String] = []
    ) -> Judgement {
      let report = ErrorReport(
        summary: "replication slot \"\(name)\" of cluster \"\(cluster.cluster)\" \(what)", detail: detail, hint: hint)
      return Judgement(id, .wrong(severity, report), delay: delay, causes: causes)
    }
    guard let slot = server.slot else {
      return wrong(
        .critical, "does not exist", "Nothing keeps the server from removing WAL that is not here yet.",
        "The wal job makes it anew when it connects: see \"backupctl wal status\".", delay: 4, causes: causes)
    }
    let retained = "The server keeps \(ByteCount(slot.retainedBytes)) of WAL for it."
    if slot.status == "lost" {
      // A receiver that connects makes it anew at once, and tells of the gap.
      return wrong(
        .critical, "has lost WAL", "The server removed WAL that was not here yet: its wal_status is \"lost\".",
        "A gap is recorded and a base backup taken when WAL flows again; raise max_slot_wal_keep_size.", delay: 0.5)
    }
    let hint = "See what holds WAL up with \"backupctl wal status\", or raise max_slot_wal_keep_size."
    if slot.status == "unreserved" {
      return wrong(
        .critical, "is about to lose WAL",
        "The next checkpoint may remove WAL that is not here yet: its wal_status is \"unreserved\". " + retained, hint,
        delay: 0)
    }
    if let left = room(slot, server) {
      if left < 0.25 {
        return wrong(
          left < 0.1 ? .critical : .warning, "is near its limit",
          "\(ByteCount(slot.safeBytes ?? 0)) may still be written before it loses WAL. " + retained, hint, delay: 0)
      }
      if left < 0.4 { return Judgement(id, .unclear) }
    }
    if !slot.isActive {
      return wrong(
        .warning, "is not in use", "No receiver is connected. " + retained + " It grows until the disk is full.",
        "See \"backupctl wal status\" for why the wal job does not receive.", delay: 4, causes: causes)
    }
    return Judgement(id, .right)
  }

  /// The part of the slot's limit that is left; nil without a limit.
  private static func room(_ slot: ServerState.Slot, _ server: ServerState) -> Double? {
    guard let safe = slot.safeBytes, let limit = server.slotLimitBytes, limit > 0 else { return nil }
    return Double(max(safe, 0)) / Double(limit)
  }

  // MARK: Archiver

  static func archiver(_ cluster: ClusterObservation, _ settings: MonitorSettings) -> Judgement {
    let id = ConditionKind.archiver.id("\(cluster.cluster)")
    guard let server = cluster.server.value else { return Judgement(id, .unclear) }
    guard let archiver = server.archiver else { return Judgement(id, .right) }
    let patience = settings.interval * 4
    let ready = archiver.readyFiles ?? 0
    let age = archiver.oldestReady.map { server.clock - $0 }
    let isFailing = archiver.lastFailed.map { $0 > (archiver.lastArchived ?? Timestamp(microseconds: .min)) } ?? false
    // A command that hangs, or ends by a signal, is not counted as failed: only the files tell.
    let isIdle = archiver.lastArchived.map { server.clock - $0 > patience } ?? true
    let isStuck = isIdle && age.map { $0 > patience } ?? false
    guard isFailing || isStuck || ready >= manyReady else {
      return Judgement(id, ready < fewReady ? .right : .unclear)
    }
    var facts: [String] = []
    if isFailing, let last = archiver.lastFailed {
      let segment = archiver.lastFailedSegment.map { " with \"\($0)\"" } ?? ""
      facts.append("archive_command failed at \(last.wholeSeconds)\(segment), \(archiver.failedCount) times in all.")
    }
    if let age, ready > 0 {
      facts.append(
        "\(ready) file\(ready == 1 ? "" : "s") in pg_wal wait for it, the oldest for \(DurationText.format(age.whole))."
      )
    }
    facts.append(archiver.lastArchived.map { "It last succeeded at \($0.wholeSeconds)." } ?? "It never succeeded.")
    let report = ErrorReport(
      summary: "the archiver of cluster \"\(cluster.cluster)\" \(isFailing ? "fails" : "does not keep up")",
      detail: facts.joined(separator: " "),
      hint: "The server's log says what archive_command prints; WAL fills the server's disk until it succeeds.")
    let isCritical = ready >= 4 * manyReady || age.map { $0 > .seconds(3600) } ?? false
    return Judgement(
      id, .wrong(isCritical ? .critical : .warning, report), delay: 0.5,
      causes: [ConditionKind.server.id("\(cluster.cluster)")])
  }

  // MARK: WAL that does not come

  /// Segments the server may write while the stores get nothing.
  private static let tolerated: Int64 = 4

  static func walThin(_ cluster: ClusterObservation) -> Judgement {
    let id = ConditionKind.walThin.id("\(cluster.cluster)")
    guard cluster.wal != nil else { return Judgement(id, .right) }
    guard let server = cluster.server.value, let unstored = cluster.unstoredBytes else {
      return Judgement(id, .unclear)
    }
    let segments = unstored / max(server.segmentBytes, 1)
    guard segments >= tolerated else { return Judgement(id, segments * 2 <= tolerated ? .right : .unclear) }
    let report = ErrorReport(
      summary: "the WAL archive of cluster \"\(cluster.cluster)\" is thinner than its server writes",
      detail: "The server has written \(segments) segments since the stores last got WAL of it.",
      hint: "See \"backupctl wal status\"; where WAL is pushed, see that archive_command is \"backupd-wal push\".")
    let name = "\(cluster.cluster)"
    return Judgement(
      id, .wrong(.critical, report), delay: 1,
      causes: [
        ConditionKind.server.id(name), "wal:\(name)", "wal-store:\(name):*", "wal-landing:\(name)",
        ConditionKind.archiver.id(name), ConditionKind.slot.id(name), ConditionKind.storeUnreachable.id("*"),
      ])
  }
}

/// How much a server writes while the stores get nothing of it. A value.
struct WALTrack: Sendable {
  private var durable: LSN?
  private var serverThen: LSN?

  /// - Parameters:
  ///   - durable: Up to where every required store holds WAL; nil where none does.
  /// - Returns: Bytes written since `durable` last changed; nil where the server does not say.
  mutating func note(server: LSN?, durable: LSN?) -> Int64? {
    guard let server else { return nil }
    // A server that went back is another one.
    if serverThen == nil || durable != self.durable || serverThen.map({ server < $0 }) == true {
      serverThen = server
      self.durable = durable
    }
    return serverThen.map { Int64(clamping: server - $0) }
  }
}

extension Duration {
  /// Without a fraction: for facts that are compared from look to look.
  var whole: Duration { .seconds(components.seconds) }
}

extension Timestamp {
  var wholeSeconds: Timestamp { Timestamp(seconds: seconds) }
}
