internal import Glibc

/// Asks again and again until an answer is yes or a deadline passes: for what gives no readiness signal.
public enum Poll {
  /// Deadlines tell what takes how long where little else runs; as many tests run at once as a machine bears.
  private static let busy = 3

  /// - Parameters:
  ///   - what: What is waited for, for the message.
  ///   - pause: The longest time between two askings: longer where asking is dear, such as by starting a program.
  /// - Throws: ``TestSupportError/deadlinePassed(what:after:standardError:)``, or what the condition throws.
  public static func until(
    _ deadline: Duration, _ what: String, every pause: Duration = .milliseconds(20), _ condition: () throws -> Bool
  ) throws {
    let longest = UInt32(pause / .microseconds(1))
    let start = ContinuousClock.now
    var next: UInt32 = 500
    while try !condition() {
      guard ContinuousClock.now - start < deadline * busy else {
        throw TestSupportError.deadlinePassed(what: what, after: deadline * busy, standardError: "")
      }
      usleep(next)
      next = min(next * 2, longest)
    }
  }

  /// The same for a condition that suspends.
  public static func until(
    _ deadline: Duration, _ what: String, isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
  ) async throws {
    let start = ContinuousClock.now
    while try await !condition() {
      guard ContinuousClock.now - start < deadline * busy else {
        throw TestSupportError.deadlinePassed(what: what, after: deadline * busy, standardError: "")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }
}
