import FoundationEssentials
import Glibc
import TestSupport

/// The built programs that these tests drive.
enum Programs {
  /// The directory of `backupd`, `backupctl` and `backupd-wal`: `BACKUPD_BIN`, which `scripts/test.sh` sets.
  static func directory() throws -> String {
    guard let path = ProcessInfo.processInfo.environment["BACKUPD_BIN"] else { throw EndToEndError.programsUnknown }
    return path
  }

  /// The root of the source tree: this file lies two directories below it.
  static let source = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

  /// Tells whoever watches, at once: a test of an hour is watched through a pipe.
  static func note(_ text: String) {
    print(text)
    fflush(nil)
  }
}

/// Why an end-to-end test cannot go on.
enum EndToEndError: Error, CustomStringConvertible {
  case programsUnknown
  case daemonEnded(String)
  case notJSON(command: String, output: String, error: String)
  case unexpected(String)

  var description: String {
    switch self {
    case .programsUnknown:
      "BACKUPD_BIN is not set. Run scripts/test.sh, or set it to the directory of backupd, backupctl and backupd-wal"
    case .daemonEnded(let log): "backupd has ended\n\(log.suffix(4000))"
    case .notJSON(let command, let output, let error):
      "\(command): standard output is not JSON\n\(output.suffix(2000))\n\(error.suffix(4000))"
    case .unexpected(let text): text
    }
  }
}
