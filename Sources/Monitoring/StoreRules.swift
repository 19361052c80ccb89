internal import BackupModel

/// Whether the stores answer, keep up, are sound and have room.
public enum StoreRules {
  /// Of a disk, in percent: below the first it is told, above the second it is over.
  private static let fullPercent = 3.0
  private static let roomPercent = 5.0
  /// A disk with less room is one that a prune should help.
  private static let tightPercent = 10.0
  private static let idlePrunes = 3
  /// Deleted backups wait a day, packs that nothing refers to two: beyond that something holds them up.
  private static let longWait: Duration = .seconds(4 * 86400)

  public static func judge(_ observations: Observations) -> [Judgement] {
    observations.stores.flatMap { [answers($0), lag($0, observations)] }
      + observations.clusters.flatMap { damage($0) + pruneIdle($0, observations) }
      + disks(observations)
  }

  private static func disks(_ observations: Observations) -> [Judgement] {
    observations.disks.map { disk($0, observations.settings) }
      + (observations.hasUnseenDisks ? [.unclear(all: .disk)] : [])
  }

  // MARK: Away

  static func answers(_ store: StoreObservation) -> Judgement {
    let id = ConditionKind.storeUnreachable.id("\(store.store)")
    let hint =
      "Check the place and the rights there with \"backupctl repository probe\"; see docs/operations/stores.md."
    func wrong(_ detail: String, delay: Double) -> Judgement {
      let report = ErrorReport(
        summary: "store \"\(store.store)\" at \(store.location) cannot be used", detail: detail, hint: hint)
      return Judgement(id, .wrong(.critical, report), delay: delay)
    }
    switch store.root {
    case .none: return Judgement(id, .unclear)
    case .value(true): return Judgement(id, .right)
    case .value(false):
      return wrong("It holds no \"repository.json\": another disk or bucket may be there now.", delay: 0.3)
    case .failed(let report, _):
      return wrong([report.summary + ".", report.detail].compactMap { $0 }.joined(separator: " "), delay: 0.3)
    case .silent(let time): return wrong("It has not answered for \(DurationText.format(time.whole)).", delay: 0)
    }
  }

  // MARK: Lag

  static func lag(_ store: StoreObservation, _ observations: Observations) -> Judgement {
    let id = ConditionKind.storeLag.id("\(store.store)")
    let limit = observations.settings.lagLimit
    guard let since = store.behindSince else { return Judgement(id, .right) }
    let lag = observations.now - since
    guard lag > limit else { return Judgement(id, lag <= limit / 2 ? .right : .unclear) }
    let lacks = store.missingBytes.map {
      "It lacks \($0) of what they hold, the oldest of it since \(since.wholeSeconds)"
    }
    let report = ErrorReport(
      summary: "store \"\(store.store)\" lags behind the others",
      detail: (lacks ?? "What it lacks is not known: it could not be looked at since \(since.wholeSeconds)")
        + "; \(DurationText.format(limit)) are allowed.",
      hint: "\"backupctl status\" shows its queue; see its \"bandwidth\" and the line to it.")
    let isCritical = lag > limit * 4
    // That it cannot be filled is told as a warning, which does not explain this away for days.
    let causes = isCritical ? [] : ["store:\(store.store)"]
    return Judgement(
      id, .wrong(isCritical ? .critical : .warning, report),
      causes: [ConditionKind.storeUnreachable.id("\(store.store)")] + causes)
  }

  // MARK: Damage

  static func damage(_ cluster: ClusterObservation) -> [Judgement] {
    guard let packs = cluster.catalog.value?.damagedPacks else { return [.unclear(all: .damage)] }
    return packs.sorted { $0.key < $1.key }.map { store, count in
      let report = ErrorReport(
        summary: "store \"\(store)\" holds damaged packs of cluster \"\(cluster.cluster)\"",
        detail: "Verification could not use \(count) of them. Backups that lie in them can be restored from another "
          + "store only; the next backup stores their pages anew.",
        hint: "See which backups are affected with \"backupctl verify --full\", then replace the disk or the objects.")
      return Judgement(ConditionKind.damage.id("\(store):\(cluster.cluster)"), .wrong(.critical, report))
    }
  }

  // MARK: Prune

  static func pruneIdle(_ cluster: ClusterObservation, _ observations: Observations) -> [Judgement] {
    guard let prune = cluster.prune else { return [] }
    let id = ConditionKind.pruneIdle.id("\(cluster.cluster)")
    let tight = observations.disks.first { $0.isStore && $0.freePercent < tightPercent }
    let waited = prune.idleSince.map { observations.now - $0 } ?? .zero
    let isHeldUp = prune.waitingBytes.value > 0 && waited > longWait
    guard prune.idleRuns >= idlePrunes, tight != nil || isHeldUp else { return [Judgement(id, .right)] }
    var facts = ["The last \(prune.idleRuns) prunes removed nothing"]
    facts[0] += prune.idleSince.map { ", since \($0.wholeSeconds)." } ?? "."
    if let tight { facts.append("\(tight.uses[0]) has \(ByteCount(tight.freeBytes)) left.") }
    if prune.waitingBytes.value > 0 { facts.append("\(prune.waitingBytes) are deleted and wait.") }
    let report = ErrorReport(
      summary: "prune frees nothing of cluster \"\(cluster.cluster)\"", detail: facts.joined(separator: " "),
      hint: "\"backupctl prune --dry-run\" says why each object stays: a promise of \"keep\", a lock, a missing right.")
    return [Judgement(id, .wrong(.warning, report))]
  }

  // MARK: Disks

  static func disk(_ disk: DiskObservation, _ settings: MonitorSettings) -> Judgement {
    let id = ConditionKind.disk.id(disk.name)
    let percent = disk.freePercent
    let left = disk.timeLeft
    let isFull = percent < fullPercent
    let isSoon = left.map { $0 < settings.diskForecast } ?? false
    guard isFull || isSoon else {
      let isCalm = percent > roomPercent && left.map { $0 > settings.diskForecast * 2 } ?? true
      return Judgement(id, isCalm ? .right : .unclear)
    }
    var facts = ["\(ByteCount(disk.freeBytes)) of \(ByteCount(disk.totalBytes)) are free."]
    if let left, isSoon {
      facts.append("At the rate of the last hours it is full in \(DurationText.format(left.rounded)).")
    }
    if disk.uses.count > 1 { facts.append("On it lie " + disk.uses.joined(separator: ", ") + ".") }
    let report = ErrorReport(
      summary: "the disk of \(disk.uses[0]) \(isFull ? "is nearly full" : "will be full")",
      detail: facts.joined(separator: " "),
      hint: "Make room or add some; \"backupctl prune --dry-run\" says what of the repository could go.")
    let isCritical = isFull || left.map { $0 < settings.diskForecast / 6 } ?? false
    return Judgement(
      id, .wrong(isCritical ? .critical : .warning, report), delay: isFull ? 0 : 2, causes: ["wal-landing:*"])
  }
}

extension DiskObservation {
  /// Percent of all that is free; 100 where the size is not known.
  var freePercent: Double { totalBytes > 0 ? 100 * Double(max(freeBytes, 0)) / Double(totalBytes) : 100 }
  var isStore: Bool { uses.contains { $0.hasPrefix("store ") } }
}

extension Duration {
  /// To minutes, above a minute: a forecast is no more exact.
  fileprivate var rounded: Duration { self < .seconds(60) ? whole : .seconds(components.seconds / 60 * 60) }
}

/// When a disk is full, from a line through how much was free in the last hours. A value; the clock is given to it.
struct DiskTrend: Sendable {
  static let longest: Duration = .seconds(6 * 3600)
  /// At most so many samples: they come further apart the longer they are kept.
  private static let most = 360

  private var samples: [(uptime: Duration, free: Double)] = []

  /// - Parameters:
  ///   - spacing: Between two samples at least.
  ///   - shortest: A trend of less time means nothing.
  mutating func timeLeft(free: Int64, at uptime: Duration, spacing: Duration, shortest: Duration) -> Duration? {
    samples.removeAll { uptime - $0.uptime > Self.longest || $0.uptime > uptime }
    if samples.last.map({ uptime - $0.uptime >= spacing }) ?? true {
      samples.append((uptime, Double(free)))
      if samples.count > Self.most { samples.removeFirst(samples.count - Self.most) }
    }
    guard let first = samples.first, uptime - first.uptime >= shortest, let slope = slope(from: first.uptime), slope < 0
    else { return nil }
    return .seconds(Int64(min(Double(max(free, 0)) / -slope, 1e9)))
  }

  /// Bytes a second by least squares; nil where the samples do not differ in time.
  private func slope(from origin: Duration) -> Double? {
    let times = samples.map { ($0.uptime - origin).secondsValue }
    let count = Double(samples.count)
    let (meanTime, meanFree) = (times.reduce(0, +) / count, samples.reduce(0) { $0 + $1.free } / count)
    var (numerator, denominator) = (0.0, 0.0)
    for (time, sample) in zip(times, samples) {
      numerator += (time - meanTime) * (sample.free - meanFree)
      denominator += (time - meanTime) * (time - meanTime)
    }
    return denominator > 0 ? numerator / denominator : nil
  }
}
