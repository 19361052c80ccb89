import Foundation
import Glibc

/// The target that `BACKUPD_FUZZ_TARGET` names.
private let target: FuzzTarget = {
  let name = ProcessInfo.processInfo.environment["BACKUPD_FUZZ_TARGET"] ?? ""
  guard let found = FuzzTarget.all.first(where: { $0.name == name }) else {
    fatalError("no target is called \"\(name)\"")
  }
  return found
}()

/// libFuzzer calls this once, before everything else.
@_cdecl("LLVMFuzzerInitialize")
public func begin(_ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer) -> CInt {
  if let directory = ProcessInfo.processInfo.environment["BACKUPD_FUZZ_SEEDS"] {
    do { try FuzzTarget.writeSeeds(to: directory) } catch { fatalError("\(error)") }
    exit(0)
  }
  // A seed that is refused tests little: each must be taken.
  for (number, seed) in target.seeds.enumerated() {
    do { try target.run(seed) } catch { fatalError("seed \(number) of \(target.name) is refused: \(error)") }
  }
  return 0
}

/// libFuzzer calls this with each input. An error is an answer; a trap is a find.
@_cdecl("LLVMFuzzerTestOneInput")
public func take(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  try? target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}
