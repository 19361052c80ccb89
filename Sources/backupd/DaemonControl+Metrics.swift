import BackupModel
import ControlProtocol
import DaemonConfiguration
import DurableFiles
import Glibc
import JobState
import Jobs
import MetricsExport
import Repository

/// The daemon in numbers, the same for `backupctl metrics`, the text file and the listener.
extension DaemonControl {
  /// Listings of stores for their numbers are this old at most; a new backup is counted at once.
  private static let listingAge: Duration = .seconds(600)

  func metrics() async -> String {
    var text = MetricsText()
    addProcess(&text)
    addTiers(&text)
    let jobs = await runner.summaries()
    let wal = await runner.walStatus()
    addWAL(&text, wal)
    for cluster in configuration.value.clusters {
      let newest = jobs.filter { $0.cluster == cluster.id }.compactMap(\.lastSuccess).max()
      // A store that does not answer is in the numbers of stores; what it held is not known then.
      let found = try? await recoverability.look(at: cluster.id, lastSuccess: newest, freshness: Self.listingAge)
      addBackups(&text, cluster.id, found?.backups ?? [])
    }
    await addStores(&text)
    addJobs(&text, jobs)
    addConditions(&text)
    return text.text
  }

  private func addProcess(_ text: inout MetricsText) {
    text.add(.up, 1)
    text.add(.build, [Backupd.version], 1)
    text.add(.time, Self.seconds(.now()))
    text.add(.started, Self.seconds(startedAt))
    text.add(.configuration, Self.seconds(configuration.loaded))
    text.add(.memory, ProcessNumbers.residentBytes())
    text.add(.processorTime, ProcessNumbers.processorSeconds())
    text.add(.descriptors, ProcessNumbers.descriptors())
    let current = configuration.value
    var places = [("state", current.daemon.stateDirectory)]
    for store in current.repository.stores {
      if let path = store.path { places.append((store.id.rawValue, path)) }
    }
    for (place, path) in places {
      var disk = statvfs()
      guard statvfs(path, &disk) == 0 else { continue }
      text.add(.diskFree, [place, path], Double(disk.f_bavail) * Double(disk.f_frsize))
      text.add(.diskSize, [place, path], Double(disk.f_blocks) * Double(disk.f_frsize))
    }
  }

  private func addTiers(_ text: inout MetricsText) {
    let looked = objectives.clusters
    for cluster in configuration.value.clusters where looked.contains(cluster.id) {
      let roads = objectives.roads(of: cluster.id)
      text.add(.age, [cluster.id.rawValue], roads.isEmpty ? .infinity : roads[0].lossSeconds)
      for road in roads {
        let labels = [cluster.id.rawValue, road.store?.rawValue ?? "landing directory", road.means.rawValue]
        text.add(.storeAge, labels, road.lossSeconds)
      }
    }
    for tier in objectives.tiers {
      let labels = [tier.cluster.rawValue, tier.name.rawValue]
      let isNothing = tier.roads.isEmpty && tier.rpoState != .unknown
      text.add(.rpo, labels, isNothing ? .infinity : tier.lossSeconds)
      text.add(.rpoObjective, labels, tier.rpoSeconds)
      text.add(.rpoBreach, labels, tier.breachSeconds)
      text.add(.rto, labels, tier.recoverySeconds)
      text.add(.rtoObjective, labels, tier.rtoSeconds)
    }
  }

  private func addWAL(_ text: inout MetricsText, _ wal: [WALStatus]) {
    let raised = Set(state.conditions().map(\.id))
    for status in wal {
      let cluster = status.cluster.rawValue
      text.add(.streaming, [cluster], ["streaming", "archiving"].contains(status.state) ? 1 : 0)
      text.add(.queued, [cluster], Double(status.queuedSegments))
      text.add(.gap, [cluster], raised.contains("wal-gap:\(cluster)") ? 1 : 0)
      for store in status.stores {
        let labels = [cluster, store.name.rawValue]
        text.add(.durable, labels, store.durableLSN.map { Double($0.value) })
        text.add(.lagSeconds, labels, store.lagSeconds)
        guard let server = status.serverLSN, let durable = store.durableLSN else { continue }
        text.add(.lagBytes, labels, server > durable ? Double(server - durable) : 0)
      }
    }
  }

  private func addBackups(_ text: inout MetricsText, _ cluster: ClusterID, _ backups: [Backup]) {
    let groups = Dictionary(grouping: backups) { [cluster.rawValue, $0.job?.rawValue ?? "", $0.kind.rawValue] }
    for (labels, found) in groups.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      guard let newest = found.last else { continue }
      text.add(.backups, labels, Double(found.count))
      text.add(.backupTime, labels, Self.seconds(newest.finished))
      text.add(.backupSize, labels, Double(newest.totalBytes.value))
      text.add(.backupStored, labels, Double(newest.storedBytes.value))
    }
  }

  private func addStores(_ text: inout MetricsText) async {
    let failing = await runner.failingStores()
    for store in configuration.value.repository.stores where store.durability != .onCopy {
      text.add(.storeUp, [store.id.rawValue], failing.contains(store.id) ? 0 : 1)
    }
    for store in await runner.storeStatus() {
      let labels = [store.name.rawValue]
      if let objects = store.missingObjects { text.add(.missingObjects, labels, Double(objects)) }
      if let bytes = store.missingBytes { text.add(.missingBytes, labels, Double(bytes)) }
      text.add(.storeLag, labels, store.behindSince.map { max(0, (Timestamp.now() - $0).secondsValue) } ?? 0)
    }
    for store in await runner.requestCounts() {
      let labels = [store.store.rawValue]
      text.add(.requests, labels, Double(store.requests))
      text.add(.retries, labels, Double(store.retries))
      text.add(.sent, labels, Double(store.sentBytes.value))
      text.add(.received, labels, Double(store.receivedBytes.value))
    }
  }

  private func addJobs(_ text: inout MetricsText, _ jobs: [JobSummary]) {
    for job in jobs where job.kind != "wal" {
      let labels = [job.cluster?.rawValue ?? "", job.name.rawValue, job.kind]
      let state = state.state(of: job.name)
      text.add(.running, labels, job.running == nil ? 0 : 1)
      text.add(.failures, labels, Double(job.consecutiveFailures))
      text.add(.success, labels, job.lastSuccess.map(Self.seconds))
      text.add(.due, labels, job.nextRun.map(Self.seconds))
      if let started = state.lastStarted, let finished = state.lastFinished, finished >= started {
        text.add(.duration, labels, (finished - started).secondsValue)
      }
    }
    for count in state.endedRuns() {
      text.add(.runs, [count.job.rawValue, count.kind, count.outcome.rawValue], Double(count.count))
    }
  }

  private func addConditions(_ text: inout MetricsText) {
    let conditions = state.conditions()
    for severity in [Condition.Severity.warning, .critical] {
      text.add(.conditions, [severity.rawValue], Double(conditions.count { $0.severity == severity }))
    }
    for condition in conditions {
      text.add(.condition, [condition.id, condition.severity.rawValue], Self.seconds(condition.since))
    }
  }

  private static func seconds(_ time: Timestamp) -> Double { Double(time.microseconds) / 1e6 }
}

/// What the kernel counts of this process; nil where it does not tell.
private enum ProcessNumbers {
  static func residentBytes() -> Double? {
    // The second number is pages in memory: proc(5).
    guard let text = ProcessFile.text("/proc/self/statm") else { return nil }
    return text.split(separator: " ").dropFirst().first.flatMap { Double($0) }.map {
      $0 * Double(sysconf(CInt(_SC_PAGESIZE)))
    }
  }

  static func processorSeconds() -> Double? {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  static func descriptors() -> Double? {
    // One of them is that of the listing itself.
    (try? DurableFile.names(in: "/proc/self/fd")).map { Double($0.count - 1) }
  }
}

/// Files of `/proc` have no size.
private enum ProcessFile {
  static func text(_ path: String) -> String? {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    defer { close(number) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(number, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }
}
