internal import CLinux

#if canImport(Glibc)
  import Glibc
#endif

/// Keeps what this process holds from its core dumps and from other processes of its user.
public enum CoreDumps {
  /// Set to 1 it leaves the process as it is, so that it can be debugged.
  public static let variable = "BACKUPD_DUMPABLE"

  /// To be called when the program begins: keys lie in other memory too while they are used, such as that of OpenSSL.
  public static func forbid() {
    if let value = getenv(variable), String(cString: value) == "1" { return }
    // Refused only where a sandbox forbids it; regions of keys are left out of dumps all the same.
    _ = backupd_forbid_dumps()
  }
}
