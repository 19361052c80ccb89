internal import Glibc

/// Asks again and again until an answer is yes or a deadline passes: for what gives no readiness signal.
public enum Poll {
  /// - Parameter what: What is waited for, for the message.
  /// - Throws: ``TestSupportError/deadlinePassed(what:after:standardError:)``, or what the condition throws.
  public static func until(_ deadline: Duration, _ what: String, _ condition: () throws -> Bool) throws {
    let start = ContinuousClock.now
    var pause: UInt32 = 500
    while try !condition() {
      guard ContinuousClock.now - start < deadline else {
        throw TestSupportError.deadlinePassed(what: what, after: deadline, standardError: "")
      }
      usleep(pause)
      pause = min(pause * 2, 20_000)
    }
  }

  /// The same for a condition that suspends.
  public static func until(
    _ deadline: Duration, _ what: String, isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
  ) async throws {
    let start = ContinuousClock.now
    while try await !condition() {
      guard ContinuousClock.now - start < deadline else {
        throw TestSupportError.deadlinePassed(what: what, after: deadline, standardError: "")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }
}
