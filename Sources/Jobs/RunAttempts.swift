internal import BackupModel

/// The attempts of one run, its deadline, and what its record says in the end.
struct RunAttempts {
  /// Pauses between attempts: 30 s, 2 min, 8 min, then 10 min each.
  static func pause(after attempt: Int) -> Duration {
    min(.seconds(30) * (1 << (2 * min(max(attempt - 1, 0), 4))), .seconds(600))
  }

  let context: RunContext
  let clock: any JobClock
  /// How long a cancelled run may take to end before it counts as stuck.
  let patience: Duration
  /// Called when it has not ended by then.
  let stuck: @Sendable () async -> Void

  private var run: LiveRun { context.run }

  /// Runs to the end, whatever it is; the record says which.
  /// - Returns: The backup a queued run may take over.
  func perform() async -> BackupID? {
    await withTaskGroup(of: BackupID??.self) { group in
      group.addTask { .some(await self.attempts()) }
      group.addTask {
        // Ends early only where the attempts have ended, or the daemon stops.
        do {
          try await clock.sleep(for: run.job.deadline)
          run.cancel(.deadline)
          try await clock.sleep(for: patience)
          await stuck()
        } catch {
          return nil
        }
        return nil
      }
      var backup: BackupID?
      while let result = await group.next() {
        guard let result else { continue }
        backup = result
        group.cancelAll()
      }
      return backup
    }
  }

  private func attempts() async -> BackupID? {
    var attempt = 0
    while true {
      do {
        let result = try await run.job.body.attempt(context)
        ended(result.incomplete == nil ? .succeeded : .incomplete, result.incomplete)
        return result.backup
      } catch {
        let report = ErrorReport(error)
        if Task.isCancelled && run.reason == nil { return ended(.interrupted, nil) }
        if run.reason == .operatorAsked { return ended(.cancelled, nil) }
        if run.reason == .deadline {
          return ended(.failed, ErrorReport(JobsError.deadlinePassed(run.job.id, run.job.deadline, last: report)))
        }
        guard attempt < run.job.retries else { return ended(.failed, report) }
        attempt += 1
        run.change { [attempt] in
          $0.attempts = attempt + 1
          $0.warnings.append("attempt \(attempt) failed: \(report.summary)" + (report.detail.map { " (\($0))" } ?? ""))
          $0.progress = RunProgress(phase: "waiting to try again")
        }
        await wait(Self.pause(after: attempt))
      }
    }
  }

  /// Ends early when the run is cancelled: the next attempt finds it at once.
  private func wait(_ pause: Duration) async {
    await withTaskGroup(of: Void.self) { group in
      let (cancelled, input) = AsyncStream.makeStream(of: Never.self)
      let handler = run.cancellation.addHandler { input.finish() }
      defer { run.cancellation.removeHandler(handler) }
      group.addTask { [clock] in _ = try? await clock.sleep(for: pause) }
      group.addTask { for await _ in cancelled {} }
      await group.next()
      group.cancelAll()
    }
  }

  @discardableResult
  private func ended(_ outcome: RunOutcome, _ error: ErrorReport?) -> BackupID? {
    run.change {
      $0.outcome = outcome
      $0.error = error
    }
    return nil
  }
}
