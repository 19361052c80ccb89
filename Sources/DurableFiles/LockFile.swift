internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// An exclusive lock that ends with the process, whatever way it ends.
public struct LockFile: ~Copyable, Sendable {
  private let file: Descriptor

  /// - Returns: Nil where another process holds it.
  public static func tryLock(_ path: String) throws(FileError) -> LockFile? {
    let file = try Descriptor(opening: path, O_RDWR | O_CREAT)
    guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { return nil }
      throw .last("lock", path)
    }
    return LockFile(file: file)
  }

  private init(file: consuming Descriptor) { self.file = file }
}
