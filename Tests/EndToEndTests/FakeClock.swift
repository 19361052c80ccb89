import Foundation
import TestSupport

/// The clock of a program that libfaketime was put before.
struct FakeClock {
  let file: String
  private let timers: String

  /// - Parameter file: Where it is told what time it is; beside it lies what keeps timers as they are.
  init(_ file: String) throws {
    self.file = file
    timers = file + ".timers.so"
    let source = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Faults/real-timers.c"
    try Program.succeed("/usr/bin/gcc", ["-shared", "-fPIC", "-o", timers, source])
    try set(ahead: 0)
  }

  /// The configuration has to be named by `BACKUPD_CONFIG` too: a preloaded libfaketime hides the command line from Swift.
  var environment: [String: String] {
    [
      "LD_PRELOAD": timers + " /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "FAKETIME_TIMESTAMP_FILE": file,
      "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1",
      // Otherwise it ends every wait on a condition of the monotonic clock at once, and the daemon's lanes spin.
      "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    ]
  }

  func set(ahead seconds: Int) throws {
    try "\(seconds < 0 ? "" : "+")\(seconds)\n".write(toFile: file, atomically: true, encoding: .utf8)
  }
}
