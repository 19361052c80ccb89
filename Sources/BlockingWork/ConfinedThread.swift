internal import CLinux
internal import Dispatch
internal import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Why a thread could not be confined: `errno` as the kernel left it.
public struct ConfinementFailure: Error, Sendable {
  public let code: CInt
}

/// A thread of its own for starting a program that must not write anywhere but where it is told to. What a thread may is
/// taken for good, so no other work is done on it.
public enum ConfinedThread {
  /// Runs `body` and waits for it.
  ///
  /// - Parameter directories: All that the thread, and whatever it starts, may write below. They must exist.
  /// - Returns: What `body` returns, and whether the kernel could confine it.
  /// - Throws: ``ConfinementFailure``, or what `body` throws.
  public static func run<Value: Sendable>(
    writingBelow directories: [String], _ body: @escaping @Sendable () throws -> Value
  ) throws -> (value: Value, isConfined: Bool) {
    let holder = Outcome<Value>()
    let group = DispatchGroup()
    group.enter()
    let thread = Thread {
      holder.set(
        Result {
          let isConfined = try confine(directories)
          return (try body(), isConfined)
        })
      group.leave()
    }
    thread.name = "io.backupd.confined"
    thread.start()
    group.wait()
    return try holder.get()
  }

  /// - Returns: False where the kernel has no Landlock.
  private static func confine(_ directories: [String]) throws -> Bool {
    let paths = directories.map { strdup($0) }
    defer { for path in paths { free(path) } }
    let result = paths.map { UnsafePointer($0) }.withUnsafeBufferPointer {
      backupd_confine_writes($0.baseAddress, CInt($0.count))
    }
    guard result >= 0 else { throw ConfinementFailure(code: errno) }
    return result == 0
  }
}

/// Written by one thread and read by another once that has ended.
private final class Outcome<Value: Sendable>: Sendable {
  private let state = Mutex<Result<(Value, Bool), any Error>?>(nil)
  func set(_ value: sending Result<(Value, Bool), any Error>) { state.withLock { $0 = value } }
  func get() throws -> (Value, Bool) {
    guard let value = state.withLock({ $0 }) else { preconditionFailure("the confined thread left no result") }
    return try value.get()
  }
}
