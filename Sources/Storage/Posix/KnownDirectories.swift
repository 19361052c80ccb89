import Synchronization

/// Directories known to exist, so that a `put` does not look each time.
final class KnownDirectories: Sendable {
  private let paths = Mutex<Set<String>>([])
  func contains(_ path: String) -> Bool { paths.withLock { $0.contains(path) } }
  func insert(_ path: String) { paths.withLock { _ = $0.insert(path) } }
  func remove(_ path: String) { paths.withLock { _ = $0.remove(path) } }
}
