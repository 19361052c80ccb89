internal import BackupModel
internal import BlockingWork
internal import JobState
internal import Repository
internal import Synchronization

/// What is asked, and what of it the rules get.
extension Monitor {
  /// - Parameter limit: A server that has not answered by then is let go; it is asked anew with the next look.
  nonisolated func askServer(_ cluster: MonitorPlan.Cluster, limit: Duration) async {
    let answer: Answer<ServerState>
    do {
      let state = try await Self.bounded(limit, "monitoring.server.\(cluster.id)") { try ServerProbe.ask(cluster, $0) }
      answer = state.map { .value($0) } ?? .silent(limit)
    } catch {
      answer = .failed(ErrorReport(error), isTransient: ServerProbe.isTransient(error))
    }
    if !Task.isCancelled { servers.end(cluster.id, answer) }
  }

  nonisolated func askRoot(_ store: RepositoryStore, _ repository: Repository) async {
    await ask(roots, store.id, "monitoring.store.\(store.id)") { _ in try repository.holdsRoot(store) }
  }

  nonisolated func askDisk(_ directory: MonitorPlan.Directory) async {
    await ask(disks, directory.name, "monitoring.disk") { _ in DiskSpace.look(directory) }
  }

  nonisolated func askCatalog(_ cluster: ClusterID, _ repository: Repository) async {
    let manifests = manifests
    await ask(catalogs, cluster, "monitoring.catalog.\(cluster)") { _ in
      try manifests.read(cluster, from: repository)
    }
  }

  private nonisolated func ask<Key: Hashable & Sendable, Value: Sendable>(
    _ board: Board<Key, Value>, _ key: Key, _ label: String,
    _ body: @escaping @Sendable (Cancellation) throws -> Value
  ) async {
    let answer: Answer<Value>
    do {
      answer = .value(try await Lane(label: label).run(body))
    } catch {
      answer = .failed(ErrorReport(error), isTransient: false)
    }
    if !Task.isCancelled { board.end(key, answer) }
  }

  /// - Returns: Nil where the time was over first; the code was cancelled then.
  private static nonisolated func bounded<Value: Sendable>(
    _ limit: Duration, _ label: String, _ body: @escaping @Sendable (Cancellation) throws -> Value
  ) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await Lane(label: label).run(body) }
      group.addTask {
        try await Task.sleep(for: limit)
        return nil
      }
      defer { group.cancelAll() }
      return try await group.next() ?? nil
    }
  }

  // MARK: Observations

  func observe(_ plan: MonitorPlan, _ configured: ConfiguredJobs, now: Timestamp) async -> Observations {
    var observations = Observations(now: now, settings: plan.settings)
    let wal = await sources.walStatus()
    let lags = await sources.lags()
    observations.clusters = plan.clusters.map { cluster in observe(cluster, wal.first { $0.cluster == cluster.id }) }
    observations.stores = repository.allStores.map { store in
      let lag = lags.first { $0.store == store.id }
      return StoreObservation(
        store.id, location: store.objects.location, root: roots.look(store.id, patience: patience),
        behindSince: store.durability == .eventual ? lag?.behindSince : nil,
        missingBytes: lag?.missingBytes)
    }
    let live = state.liveRuns()
    observations.jobs = plan.jobs.map { job in
      var observation = JobObservation(
        job, runs: memory.runs(of: job.id, state), live: live.first { $0.job == job.id },
        lastSuccess: state.state(of: job.id).lastSuccess, configuredSince: configured.since(job.id, now: now))
      memory.schedule(&observation, now: now)
      return observation
    }
    memory.forget(except: Set(plan.jobs.map(\.id)))
    observations.historyProblem = memory.historyProblem
    (observations.disks, observations.hasUnseenDisks) = observeDisks(plan)
    return observations
  }

  private func observe(_ cluster: MonitorPlan.Cluster, _ wal: WALStatus?) -> ClusterObservation {
    var observation = ClusterObservation(
      cluster.id, server: servers.look(cluster.id, patience: patience), slot: cluster.slot, wal: wal,
      catalog: catalogs.look(cluster.id, patience: .seconds(600)))
    if let server = observation.server.value, let wal {
      observation.unstoredBytes = memory.unstored(
        cluster.id, server: server.lsn, wal: wal, required: Set(repository.required.map(\.id)))
    }
    // What is wrong with the file is told by whoever prunes.
    if let prune = try? state.pruneState(of: cluster.id, now: .now()) {
      observation.prune = PruneObservation(
        idleRuns: prune.idleRuns ?? 0, idleSince: prune.idleSince, waitingBytes: prune.waitingBytes ?? ByteCount(0))
    }
    return observation
  }

  /// One of each file system, by the first directory on it; and whether some directory's disk does not answer.
  private func observeDisks(_ plan: MonitorPlan) -> ([DiskObservation], hasUnseen: Bool) {
    var found: [DiskSpace] = []
    var hasUnseen = false
    for directory in plan.directories {
      guard let spaces = disks.look(directory.name, patience: patience).value else {
        hasUnseen = true
        continue
      }
      for space in spaces {
        if let index = found.firstIndex(where: { $0.device == space.device }) {
          found[index].uses += space.uses
        } else {
          found.append(space)
        }
      }
    }
    let uptime = Duration.seconds(HostClock.bootSeconds)
    let observations = found.map { space in
      DiskObservation(
        name: space.name, uses: space.uses, freeBytes: space.freeBytes, totalBytes: space.totalBytes,
        timeLeft: memory.timeLeft(space, at: uptime, horizon: plan.settings.diskForecast))
    }
    return (observations, hasUnseen)
  }
}

/// Manifests that were read before: none ever changes.
final class KnownBackups: Sendable {
  private let known = Mutex<[ClusterID: [BackupID: Backup]]>([:])

  /// - Throws: `StorageError` where no store answers.
  func read(_ cluster: ClusterID, from repository: Repository) throws -> ClusterObservation.Catalog {
    let before = known.withLock { $0[cluster] ?? [:] }
    let catalog = BackupCatalog(repository)
    var found = ClusterObservation.Catalog(asked: .now())
    for lineage in try repository.lineages(of: cluster) {
      let (backups, damaged) = try catalog.list(lineage, known: before)
      found.backups += backups
      found.damagedBackups += damaged.map { ($0.backup, $0.report) }
    }
    let backups = found.backups
    known.withLock { known in
      known[cluster] = Dictionary(backups.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }
    // Where a store is away its marks are not known, which is no reason not to know the rest.
    do { found.damagedPacks = try repository.damagedPacks(of: cluster) } catch { found.damagedPacks = nil }
    return found
  }
}
