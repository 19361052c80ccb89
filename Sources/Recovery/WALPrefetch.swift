internal import BackupModel
public import BlockingWork
internal import DurableFiles
internal import Foundation
internal import Repository
internal import Storage
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Fetches the segments that recovery will ask for next into a directory beside its own, while it replays.
///
/// `backupd-wal fetch` takes them from there by renaming, without opening the repository. What is there is what a fetch
/// would have given: whole segments that end before the planned end. Slices of a segment that may still grow are never
/// fetched ahead, and nothing is ever said to be absent: what does not come is asked for in the ordinary way, and that
/// answer decides. The files are not synced; `backupd-wal` names the directory after the host's boot, so that one that
/// survived a power loss is not used.
public final class WALPrefetch: Sendable {
  /// Segments that wait to be taken, and being fetched.
  public static let ahead = 8
  /// Nobody has taken a segment for so long: recovery has ended, or went another way.
  static let patience: Duration = .seconds(60)
  /// All directories of ours begin so.
  public static let prefix = "backupd-prefetch-"

  private struct State {
    var next: UInt64
    /// The first that cannot be fetched ahead; nothing from there on is tried.
    var end: UInt64?
    /// Written and not yet seen to be taken.
    var waiting: Set<String> = []
    var fetching = 0
    var lastTaken = ContinuousClock.now
  }
  private let fetch: WALFetch
  private let plan: WALFetch.Plan
  private let directory: String
  private let state: Mutex<State>

  /// - Parameters:
  ///   - name: The file that recovery asked for last.
  ///   - directory: Where the segments are put; made here, removed at the end.
  /// - Returns: Nil where nothing follows `name`.
  /// - Throws: What the repository throws.
  public init?(_ fetch: WALFetch, after name: String, into directory: String) throws {
    let plan = try fetch.plan()
    guard let segment = try? WALSegment(name: name, size: plan.size) else { return nil }
    self.fetch = fetch
    self.plan = plan
    self.directory = directory
    state = Mutex(State(next: segment.number + 1, end: plan.lastWhole.map { $0 + 1 }))
  }

  /// Whether a server recovers in the working directory: only then somebody takes what is fetched.
  public static var isWanted: Bool {
    DurableFile.exists("recovery.signal") || DurableFile.exists("standby.signal")
  }

  /// Starts this program as one that fetches ahead, which PostgreSQL does not wait for and does not signal.
  /// - Throws: `FileError`.
  public static func start(_ arguments: [String]) throws {
    _ = try ChildProcess("/proc/self/exe", arguments, as: nil, directory: ".", log: "/dev/null")
  }

  /// Fetches until there is no more, nobody takes any, or recovery has ended. Then the directory is gone.
  ///
  /// - Note: Blocks. Where another process fetches into the directory already it returns at once.
  public func run(lanes: Int, _ cancellation: Cancellation) throws {
    removeLeft()
    try DurableFile.makeDirectory(directory)
    guard let lock = try LockFile.tryLock(directory + "/lock") else { return }
    let held = Held(lock)
    defer { withExtendedLifetime(held) { remove(directory) } }
    var bodies: [@Sendable () throws -> Void] = [{ try self.watch(cancellation) }]
    for _ in 0..<lanes { bodies.append { try self.work(cancellation) } }
    do {
      try runTogether(cancellation, label: "prefetch", bodies)
    } catch is Ended {
      return
    }
  }

  /// Keeps others out of the directory.
  private final class Held {
    private let lock: LockFile
    init(_ lock: consuming LockFile) { self.lock = lock }
  }

  /// There is nothing more to do.
  private struct Ended: Error {}

  private func watch(_ cancellation: Cancellation) throws {
    while true {
      try cancellation.sleep(.milliseconds(5))
      let waiting = state.withLock { $0.waiting }
      let taken = waiting.filter { !DurableFile.exists(directory + "/" + $0) }
      let isDone = state.withLock { state -> Bool in
        if !taken.isEmpty { state.lastTaken = .now }
        state.waiting.subtract(taken)
        let isAtEnd = state.end.map { state.next >= $0 } ?? false
        return isAtEnd && state.waiting.isEmpty && state.fetching == 0
          || ContinuousClock.now - state.lastTaken > Self.patience
      }
      if isDone || !Self.isWanted { throw Ended() }
    }
  }

  private func work(_ cancellation: Cancellation) throws {
    while true {
      try cancellation.check()
      let number = state.withLock { state -> UInt64? in
        guard state.waiting.count + state.fetching < Self.ahead, state.next < state.end ?? .max else { return nil }
        state.fetching += 1
        state.next += 1
        return state.next - 1
      }
      guard let number else {
        try cancellation.sleep(.milliseconds(5))
        continue
      }
      let segment = WALSegment(timeline: plan.timeline(of: number), number: number)
      let name = segment.name(size: plan.size)
      let claim = directory + "/" + name + ".coming"
      let isThere = claimed(claim) { fetch.fetchWhole(segment, plan, to: directory + "/" + name) }
      state.withLock { state in
        state.fetching -= 1
        if isThere { state.waiting.insert(name) } else { state.end = min(state.end ?? number, number) }
      }
    }
  }

  /// A segment that is on its way is waited for rather than fetched twice.
  private func claimed(_ path: String, _ body: () -> Bool) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor >= 0 { close(descriptor) }
    defer { unlink(path) }
    return body()
  }

  /// What an earlier recovery here, or one before a power loss, left behind.
  private func removeLeft() {
    let own = directory.split(separator: "/").last.map(String.init)
    for name in (try? DurableFile.names(in: ".")) ?? [] where name.hasPrefix(Self.prefix) && name != own {
      remove(name)
    }
  }

  private func remove(_ directory: String) {
    for name in (try? DurableFile.names(in: directory)) ?? [] { unlink(directory + "/" + name) }
    rmdir(directory)
  }
}
