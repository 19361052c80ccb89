public import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// A system call on a file failed.
public struct FileError: OperatorError {
  /// What could not be done: "write", "open".
  public var action: String
  public var path: String
  /// `errno` as the call left it.
  public var code: CInt

  public init(_ action: String, _ path: String, code: CInt) {
    self.action = action
    self.path = path
    self.code = code
  }
  /// The failure of the call that just returned.
  public static func last(_ action: String, _ path: String) -> FileError { FileError(action, path, code: errno) }

  public var summary: String { "could not \(action) \"\(path)\"" }
  public var detail: String? { String(cString: strerror(code)) + "." }
  public var hint: String? {
    switch code {
    case ENOSPC, EDQUOT: "Free space on the file system that holds it, then try again."
    case EACCES, EPERM: "Check who owns it and the modes of the directories above it."
    case EROFS: "The file system is mounted read-only; find out why in the kernel's log."
    case EIO: "The device reports errors; look into the kernel's log before anything else."
    default: nil
    }
  }
  public var isMissing: Bool { code == ENOENT }
  public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
}
