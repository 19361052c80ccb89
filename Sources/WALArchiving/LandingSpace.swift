internal import DurableFiles
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// How much room the landing directory's disk has, asked at most once a second.
///
/// Below the floor nothing more is taken from the server: what is here is kept, and the rest of the host, the daemon's own
/// state before all, is not brought down by a full disk. The server keeps the WAL meanwhile.
final class LandingSpace: Sendable {
  /// A tenth of the disk, at most this.
  private static let highestFloor: Int64 = 1 << 30

  private struct State {
    var asked: ContinuousClock.Instant?
    var free: Int64 = .max
    var floor: Int64 = 0
    var isFull = false
  }
  private let path: String
  private let state = Mutex(State())

  init(_ path: String) { self.path = path }

  /// Bytes above the floor; negative below it.
  /// - Throws: `FileError`.
  func free() throws -> Int64 {
    let (free, floor) = try look()
    return free - floor
  }

  /// Whether to take no more. Ends only where there is some room again, so that it does not change with each segment.
  func isFull() throws -> Bool {
    let (free, floor) = try look()
    return state.withLock { state in
      state.isFull = free < (state.isFull ? floor + floor / 2 : floor)
      return state.isFull
    }
  }

  private func look() throws -> (free: Int64, floor: Int64) {
    if let known = state.withLock({ state -> (Int64, Int64)? in
      guard let asked = state.asked, ContinuousClock.now - asked < .seconds(1) else { return nil }
      return (state.free, state.floor)
    }) {
      return known
    }
    var disk = statvfs()
    guard statvfs(path, &disk) == 0 else { throw FileError.last("look at the free space of", path) }
    let block = Int64(disk.f_frsize)
    let free = Int64(disk.f_bavail) * block
    let floor = min(Int64(disk.f_blocks) * block / 10, Self.highestFloor)
    return state.withLock { state in
      state.asked = .now
      state.free = free
      state.floor = floor
      return (free, floor)
    }
  }
}
