internal import CLinux
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Makes everything written below some directories durable at once.
///
/// Thousands of small files each fsynced cost a journal commit each; syncfs(2) makes all of them durable with one. It
/// reports write errors that happened since its descriptor was opened (Linux 5.8), so this is made before the first
/// byte is written.
final class FileSystemSync: Sendable {
  private let descriptors: [Held]

  /// A descriptor that an array can hold.
  private final class Held: Sendable {
    let descriptor: Descriptor
    init(_ path: String) throws { descriptor = try Descriptor(opening: path, O_RDONLY | O_DIRECTORY) }
  }

  /// - Parameter directories: They must exist; one on each file system is enough, more do no harm.
  init(_ directories: [String]) throws {
    var seen: Set<dev_t> = []
    descriptors = try directories.compactMap { path in
      var status = stat()
      guard stat(path, &status) == 0 else { throw FileError.last("look at", path) }
      return seen.insert(status.st_dev).inserted ? try Held(path) : nil
    }
  }

  /// Durable on return.
  func sync() throws {
    for held in descriptors where backupd_syncfs(held.descriptor.number) != 0 {
      throw FileError.last("make durable the file system of", held.descriptor.path)
    }
  }
}
