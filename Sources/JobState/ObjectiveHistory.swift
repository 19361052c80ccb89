public import BackupModel
internal import DurableFiles
import Foundation
import Synchronization

/// What one tier attained at one moment.
public struct AttainedObjective: Sendable, Hashable, Codable {
  /// Nil where nothing could be restored, or nobody knew.
  public var lossSeconds: Double?
  public var rpoState: ObjectiveState
  public var recoverySeconds: Double?

  public init(lossSeconds: Double?, rpoState: ObjectiveState, recoverySeconds: Double?) {
    self.lossSeconds = lossSeconds
    self.rpoState = rpoState
    self.recoverySeconds = recoverySeconds
  }
}

/// All tiers at one moment: a line of `objectives/minutes-<date>.jsonl`.
public struct ObjectiveSample: Sendable, Hashable, Codable {
  public var at: Timestamp
  public var tiers: [String: AttainedObjective]

  public init(at: Timestamp, tiers: [TierID: AttainedObjective]) {
    self.at = at
    self.tiers = Dictionary(uniqueKeysWithValues: tiers.map { ($0.key.rawValue, $0.value) })
  }
}

/// One tier in one hour: a line of `objectives/hours-<month>.jsonl`.
public struct ObjectiveHour: Sendable, Hashable, Codable {
  /// The hour's first instant.
  public var hour: Timestamp
  public var tier: TierID
  public var samples: Int
  /// Samples in which the recovery point objective was missed.
  public var missed: Int
  public var lossMinimum: Double?
  public var lossMaximum: Double?
  public var lossMean: Double?
  public var recoveryMaximum: Double?

  /// Nil where no sample speaks of the tier.
  init?(_ hour: Timestamp, _ tier: String, _ samples: [ObjectiveSample]) {
    let values = samples.compactMap { $0.tiers[tier] }
    guard !values.isEmpty, let tier = TierID(rawValue: tier) else { return nil }
    let losses = values.compactMap(\.lossSeconds)
    self.hour = hour
    self.tier = tier
    self.samples = values.count
    missed = values.count { $0.rpoState == .missed }
    lossMinimum = losses.min()
    lossMaximum = losses.max()
    lossMean = losses.isEmpty ? nil : losses.reduce(0, +) / Double(losses.count)
    recoveryMaximum = values.compactMap(\.recoverySeconds).max()
  }
}

/// How objectives were attained: every minute of the last day, and every hour for as long as runs are remembered.
///
/// Each call that records is durable on return. A line that a crash left unfinished is passed over, and hours that were
/// not summed up then are when it is opened again. For one process at a time.
public final class ObjectiveHistory: Sendable {
  /// One line for so long.
  public static let step: Duration = .seconds(60)
  private static let day: Duration = .seconds(86400)

  private let directory: String
  /// The last day, oldest first.
  private let recent: Mutex<[ObjectiveSample]>

  /// - Throws: `FileError` where the directory cannot be made or read.
  public init(directory: String, now: Timestamp) throws {
    self.directory = directory
    try DurableFile.makeDirectory(directory)
    var samples: [ObjectiveSample] = []
    for name in try DurableFile.names(in: directory) where name.hasPrefix("minutes-") {
      samples += try Self.read(ObjectiveSample.self, from: "\(directory)/\(name)") { _ in true }.reversed()
    }
    recent = Mutex(samples)
    try sumUp(before: now)
    recent.withLock { $0.removeAll { $0.at <= now - Self.day || $0.at > now } }
  }

  /// - Returns: Whether it was recorded: nothing is within a minute of the sample before.
  @discardableResult
  public func record(_ sample: ObjectiveSample) throws -> Bool {
    let last = recent.withLock { $0.last?.at }
    if let last, Self.hour(of: last) < Self.hour(of: sample.at) { try sumUp(before: sample.at) }
    let isNew = recent.withLock { recent in
      // A clock that was set back begins anew: what it called the future never was.
      recent.removeAll { $0.at <= sample.at - Self.day || $0.at > sample.at }
      if let newest = recent.last?.at, sample.at - newest < Self.step { return false }
      recent.append(sample)
      return true
    }
    if isNew { try LineFile.append(sample, to: Self.minutes(directory, sample.at)) }
    return isNew
  }

  /// The most that could have been lost in the last 24 hours; nil where nothing is known of them.
  public func worstLoss(of tier: TierID) -> Double? {
    recent.withLock { $0.compactMap { $0.tiers[tier.rawValue]?.lossSeconds }.max() }
  }

  /// Hours of one tier since a time, oldest first. A line that cannot be read is left out.
  /// - Throws: `FileError`.
  public func hours(of tier: TierID, since: Timestamp) throws -> [ObjectiveHour] {
    try hours(since: since).filter { $0.tier == tier }
  }

  /// Forgets what ended more than `span` ago, by the month, and minutes after a day.
  public func prune(olderThan span: Duration, now: Timestamp) throws {
    let minutes = Self.name(Self.minutes("", now - Self.day))
    let hours = Self.name(Self.hours("", now - span))
    for name in try DurableFile.names(in: directory) {
      let isOld = name.hasPrefix("minutes-") ? name < minutes : name.hasPrefix("hours-") && name < hours
      if isOld { try DurableFile.remove("\(directory)/\(name)") }
    }
  }

  // MARK: Hours

  /// Writes the hours that have ended and are not written yet.
  private func sumUp(before now: Timestamp) throws {
    let current = Self.hour(of: now)
    let ended = Dictionary(grouping: recent.withLock { $0 }) { Self.hour(of: $0.at) }.filter { $0.key < current }
    guard let first = ended.keys.min() else { return }
    let known = Set(try hours(since: first).map(\.hour))
    for (hour, samples) in ended.sorted(by: { $0.key < $1.key }) where !known.contains(hour) {
      let tiers = Set(samples.flatMap(\.tiers.keys)).sorted()
      let lines = tiers.compactMap { ObjectiveHour(hour, $0, samples) }
      if !lines.isEmpty { try LineFile.append(lines, to: Self.hours(directory, hour)) }
    }
  }

  private func hours(since: Timestamp) throws -> [ObjectiveHour] {
    let first = Self.name(Self.hours("", since))
    let names = try DurableFile.names(in: directory).filter { $0.hasPrefix("hours-") && $0 >= first }.sorted(by: >)
    var found: [ObjectiveHour] = []
    for name in names {
      found += try Self.read(ObjectiveHour.self, from: "\(directory)/\(name)") { $0.hour >= since }
    }
    return found.reversed()
  }

  // MARK: Files

  /// Values from a file's end on while they are wanted, the newest first; nothing where there is no file.
  private static func read<Value: Codable>(
    _ type: Value.Type, from path: String, while isWanted: (Value) -> Bool
  ) throws -> [Value] {
    guard DurableFile.exists(path) else { return [] }
    var lines = try BackwardLines(path)
    var values: [Value] = []
    while let line = try lines.next() {
      // What a crash cut off, or somebody wrote by hand: the others are as good without it.
      guard let value = try? JSONDecoder().decode(Versioned<Value>.self, from: line).value else { continue }
      guard isWanted(value) else { break }
      values.append(value)
    }
    return values
  }

  private static func hour(of time: Timestamp) -> Timestamp {
    let seconds = time.seconds
    return Timestamp(seconds: seconds - ((seconds % 3600) + 3600) % 3600)
  }

  private static func minutes(_ directory: String, _ time: Timestamp) -> String {
    "\(directory)/minutes-\(time.description.prefix(10)).jsonl"
  }
  private static func hours(_ directory: String, _ time: Timestamp) -> String {
    "\(directory)/hours-\(time.description.prefix(7)).jsonl"
  }
  private static func name(_ path: String) -> String { String(path.dropFirst()) }
}
