internal import BackupModel
internal import BackupPipeline
internal import BlockingWork
internal import Logging
internal import Repository
internal import WALArchiving

/// One physical run: attempts, deadline, and what its record says in the end.
struct PhysicalRun {
  enum Outcome: Sendable {
    case success(BackupID)
    case other
  }
  /// Pauses between attempts.
  private static let pauses: [Duration] = [.seconds(30), .seconds(120), .seconds(600)]

  private let repository: Repository
  private let landingDirectory: String
  private let fingerprintDirectory: String
  private let run: LiveRun
  private let logger: Logger
  private var job: PhysicalJob { run.job }

  init(_ runner: JobRunner, _ run: LiveRun) {
    repository = runner.repository
    landingDirectory = runner.options.stateDirectory + "/wal-temporary/\(run.job.cluster)"
    fingerprintDirectory = runner.options.stateDirectory + "/fingerprints/\(run.job.cluster)"
    self.run = run
    logger = runner.logger
  }

  /// Runs to the end, whatever it is; the record says which.
  func perform(archiver keeper: WALKeeper?) async -> Outcome {
    await withTaskGroup(of: Outcome?.self) { group in
      group.addTask { await self.attempts(keeper) }
      if let limit = job.deadline {
        group.addTask { [run] in
          // Ends early only where the attempts have ended, or the daemon stops.
          do { try await Task.sleep(for: limit) } catch { return nil }
          run.cancel(.deadline)
          return nil
        }
      }
      var outcome = Outcome.other
      while let result = await group.next() {
        guard let result else { continue }
        outcome = result
        group.cancelAll()
      }
      return outcome
    }
  }

  private func attempts(_ keeper: WALKeeper?) async -> Outcome {
    var attempt = 0
    while true {
      do {
        return record(try await self.attempt(keeper))
      } catch {
        let report = ErrorReport(error)
        if Task.isCancelled && run.reason == nil { return ended(.interrupted, nil) }
        if run.reason == .operatorAsked { return ended(.cancelled, nil) }
        if run.reason == .deadline, let limit = job.deadline {
          return ended(.failed, ErrorReport(JobsError.deadlinePassed(job.id, limit)))
        }
        guard attempt < job.retries else { return ended(.failed, report) }
        let pause = Self.pauses[min(attempt, Self.pauses.count - 1)]
        attempt += 1
        run.change {
          $0.warnings.append("attempt \(attempt) failed: \(report.summary)" + (report.detail.map { " (\($0))" } ?? ""))
          $0.progress = RunProgress(phase: "waiting to try again")
        }
        await wait(pause)
      }
    }
  }

  private func wait(_ pause: Duration) async {
    let lane = Lane(label: "backup.\(job.cluster)")
    // Woken early by a cancellation: the next attempt finds it at once.
    _ = try? await lane.run { [run] inner in
      let handler = run.cancellation.addHandler { inner.cancel() }
      defer { run.cancellation.removeHandler(handler) }
      try inner.sleep(pause)
    }
  }

  private func attempt(_ keeper: WALKeeper?) async throws -> BaseBackupPipeline.Result {
    let proof: any WALProof = keeper.map { ArchiverProof($0.archiver, cluster: job.cluster) } ?? temporaryProof()
    let pipeline = BaseBackupPipeline(
      .init(
        cluster: job.cluster, connection: job.connection.revealText(), job: job.id, run: run.id, workers: job.workers,
        checkpoint: job.checkpoint == .fast ? .fast : .spread, compressionLevel: job.compressionLevel,
        maximumRate: job.maximumRate,
        fingerprintDirectory: fingerprintDirectory, full: job.full,
        source: .init(rawValue: job.source.rawValue) ?? .auto, dataDirectory: job.dataDirectory,
        isIdle: job.isIdle),
      repository: repository, wal: proof, observe: { [run] in run.progress($0) },
      notice: { [logger, run] in
        logger.notice("server says: \($0.summary)", metadata: ["run": "\(run.id)", "cluster": "\(run.job.cluster)"])
      })
    let lane = Lane(label: "backup.\(job.cluster)")
    return try await lane.run { [run] inner in
      let handler = run.cancellation.addHandler { inner.cancel() }
      defer { run.cancellation.removeHandler(handler) }
      return try pipeline.run(cancellation: inner)
    }
  }

  /// A cluster without a wal job: the run receives its own WAL.
  private func temporaryProof() -> TemporaryArchiverProof {
    let archiver = WALArchiver(
      .init(
        cluster: job.cluster, connection: job.walConnection.revealText(), slot: temporarySlot, slotLifetime: .temporary,
        landingDirectory: landingDirectory),
      repository: repository)
    return TemporaryArchiverProof(archiver, cluster: job.cluster)
  }

  /// Of this run alone: a temporary slot of a connection that died may still be there for a while.
  private var temporarySlot: String {
    let letters = run.id.text.suffix(8)
    let name = WALArchiver.Options.defaultSlot(of: job.cluster)
    return String(name.prefix(54)) + "_" + letters
  }

  private func record(_ result: BaseBackupPipeline.Result) -> Outcome {
    let backup = result.backup
    run.change {
      $0.backup = backup.id
      $0.totalBytes = backup.totalBytes
      $0.newBytes = backup.newBytes
      $0.storedBytes = backup.storedBytes
      $0.phases = result.phases
      $0.warnings += result.warnings.map { $0.summary + ($0.detail.map { ": \($0)" } ?? "") }
      if backup.missingStores.isEmpty {
        $0.outcome = .succeeded
      } else {
        $0.outcome = .incomplete
        $0.error = ErrorReport(JobsError.storesMissing(backup.id, result.failures))
      }
    }
    // Another run must not take over what lacks a store.
    return backup.missingStores.isEmpty ? .success(backup.id) : .other
  }

  private func ended(_ outcome: RunOutcome, _ error: ErrorReport?) -> Outcome {
    run.change {
      $0.outcome = outcome
      $0.error = error
    }
    return .other
  }
}
