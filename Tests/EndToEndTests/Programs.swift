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

  /// Whether the long tests run at full size, as `scripts/soak.sh` asks.
  static var isSoak: Bool { ProcessInfo.processInfo.environment["BACKUPD_SOAK"] == "1" }

  /// Tells whoever watches, at once: a test of an hour is watched through a pipe.
  static func note(_ text: String) {
    print(text)
    fflush(nil)
  }

  /// Where random choices begin; told by each test that makes them, so that a failure can be repeated.
  static var seed: UInt64 {
    ProcessInfo.processInfo.environment["BACKUPD_SOAK_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...999_999)
  }
}

/// Random numbers that are the same for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
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
