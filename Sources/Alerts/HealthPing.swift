public import BackupModel
internal import BlockingWork
public import JobState
public import Logging
public import Transfer

/// Calls an address from time to time for as long as all is well, so that somebody outside notices when the calls end: the
/// host is gone, the daemon is, or it has something critical to say.
public struct HealthPing: Sendable {
  public struct Options: Sendable {
    public var address: @Sendable () throws -> Secret
    public var interval: Duration
    public var client: HTTPClient
    public init(address: @escaping @Sendable () throws -> Secret, interval: Duration, client: HTTPClient) {
      self.address = address
      self.interval = interval
      self.client = client
    }
  }
  private static let conditionID = "heartbeat"
  private let state: JobStateStore
  private let logger: Logger

  public init(state: JobStateStore, logger: Logger) {
    self.state = state
    self.logger = logger
  }

  /// Until cancelled.
  /// - Parameters:
  ///   - options: Asked before each call; nil: none is made.
  ///   - problem: Why the daemon is not well; nil where it is. Not asked for conditions, which are looked at here.
  public func run(options: @Sendable () -> Options?, problem: @Sendable () async -> String?) async {
    let lane = Lane(label: "alerts.heartbeat")
    var next = ContinuousClock.now
    var failures = 0
    while !Task.isCancelled {
      let current = options()
      if let options = current {
        if ContinuousClock.now >= next {
          next = .now + options.interval
          failures = await check(options, lane, problem) ? 0 : failures + 1
          await tell(failures)
        }
      } else if failures > 0 {
        failures = 0
        await tell(0)
      }
      // Ends early only by cancellation, which the loop looks for itself.
      try? await Task.sleep(for: min(current?.interval ?? .seconds(5), .seconds(current == nil ? 5 : 1)))
    }
  }

  /// - Returns: False where the call was to be made and got no good answer.
  private func check(_ options: Options, _ lane: Lane, _ problem: @Sendable () async -> String?) async -> Bool {
    if let critical = state.conditions().first(where: { $0.severity == .critical }) {
      logger.debug("no heartbeat is sent", metadata: ["reason": "condition \(critical.id)"])
      return true
    }
    if let problem = await problem() {
      logger.warning("no heartbeat is sent", metadata: ["reason": "\(problem)"])
      return true
    }
    do {
      try await lane.run { cancellation in
        let request = HTTPRequest(.get, try WebAddress.text(options.address()))
        let response = try options.client.send(request, into: .collect(limit: 64 << 10), cancellation)
        guard response.isSuccess else {
          throw AlertError.refused(
            by: "heartbeat", status: response.status, answer: AnswerText.line(response.body), retryAfter: nil)
        }
      }
      return true
    } catch {
      if !Task.isCancelled { logger.warning("heartbeat not taken", metadata: ["error": "\(ErrorReport(error))"]) }
      return Task.isCancelled
    }
  }

  /// One call that is lost is everyday, and whoever waits for them allows for it.
  private func tell(_ failures: Int) async {
    logger.attempt {
      if failures >= 3 {
        try state.raise(
          Condition(
            id: Self.conditionID, severity: .warning, since: .now(),
            report: ErrorReport(
              summary: "the heartbeat does not get out",
              detail: "The last \(failures) calls of the address under \"heartbeat\" got no good answer.",
              hint: "See why with \"journalctl -u backupd\"; whoever waits for it will think that this host is down.")))
      } else if failures == 0 {
        try state.resolve(Self.conditionID)
      }
    }
  }
}
