public import BackupModel
import DurableFiles
internal import Foundation

/// When a cluster was last pruned, and what the clocks said then: the file `prune/<cluster>.json`.
public struct PruneState: Sendable, Hashable, Codable {
  public var cluster: ClusterID
  public var finished: Timestamp
  public var succeeded: Bool
  public var freedBytes: ByteCount
  /// Seconds since the host started, and a name of that start: they tell whether the clock was set since.
  public var bootSeconds: Int64
  public var boot: String
  /// Set where the clock had jumped: by how many seconds. Nothing is deleted for a day then.
  public var clockJumpSeconds: Int64?
  /// Successful prunes in a row, this one the last, that freed nothing, and when the first of them was; nil for none.
  public var idleRuns: Int?
  public var idleSince: Timestamp?
  /// What is deleted and waits to be removed.
  public var waitingBytes: ByteCount?

  public init(
    cluster: ClusterID, finished: Timestamp, succeeded: Bool, freedBytes: ByteCount,
    clockJumpSeconds: Int64? = nil
  ) {
    self.cluster = cluster
    self.finished = finished
    self.succeeded = succeeded
    self.freedBytes = freedBytes
    self.clockJumpSeconds = clockJumpSeconds
    bootSeconds = HostClock.bootSeconds
    boot = HostClock.boot
  }

  /// Counts on from the prune before, where both succeeded and freed nothing.
  public mutating func count(after last: PruneState?) {
    guard succeeded, freedBytes.value == 0 else { return }
    idleRuns = (last?.idleRuns ?? 0) + 1
    idleSince = last?.idleRuns == nil ? finished : last?.idleSince ?? finished
  }

  /// How far the clock was set since this was recorded, as far as can be told: within one start of the host both ways,
  /// otherwise only backwards.
  public func clockJump(now: Timestamp, bootSeconds: Int64 = HostClock.bootSeconds, boot: String = HostClock.boot)
    -> Duration
  {
    let passed = now - finished
    if boot == self.boot { return passed - .seconds(bootSeconds - self.bootSeconds) }
    return min(passed, .zero)
  }
}

/// The clock that nobody sets.
public enum HostClock {
  /// Seconds since the host started, time asleep included.
  public static var bootSeconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Int64(time.tv_sec)
  }

  /// A name of this start; empty where the kernel does not tell.
  public static let boot: String = {
    guard let bytes = try? DurableFile.read("/proc/sys/kernel/random/boot_id") else { return "" }
    return String(decoding: bytes, as: UTF8.self).filter { !$0.isNewline }
  }()
}

extension JobStateStore {
  private func prunePath(_ cluster: ClusterID) -> String { "\(directory)/prune/\(cluster).json" }

  /// Nil where the cluster was never pruned.
  /// - Throws: ``JobStateError``; a file that cannot be understood has been moved aside then.
  public func pruneState(of cluster: ClusterID, now: Timestamp) throws -> PruneState? {
    try StateFile.read(PruneState.self, from: prunePath(cluster), now: now)
  }

  public func record(_ prune: PruneState) throws {
    try DurableFile.makeDirectory(directory + "/prune")
    try StateFile.write(prune, to: prunePath(prune.cluster))
  }
}
