import BackupModel
import Scheduling
import Testing

@testable import Monitoring

@Suite("Conditions of backups and stores") struct BackupRulesTests {
  private static let now = JobRulesTests.midnight + .seconds(100 * 86400)
  private static let cluster = ClusterID(unchecked: "oauth")

  private static func backup(_ hoursAgo: Int, job: String = "nightly", deleted: Bool = false) -> Backup {
    let time = now - .seconds(hoursAgo * 3600)
    var backup = Backup(
      id: BackupID(started: time), cluster: cluster, kind: .physical, job: JobID(unchecked: job), started: time,
      finished: time + .seconds(60), startLSN: LSN(0), stopLSN: LSN(1), timeline: TimelineID(1),
      systemIdentifier: SystemIdentifier(1), sequence: 1, totalBytes: ByteCount(1), newBytes: ByteCount(1),
      storedBytes: ByteCount(1), parent: nil, stores: [], missingStores: [])
    backup.deleted = deleted ? now : nil
    return backup
  }

  private static func age(
    _ backups: [Backup]?, _ schedule: String?, since: Timestamp = JobRulesTests.midnight,
    settings: MonitorSettings = MonitorSettings()
  ) throws -> Verdict {
    let job = JobObservation(try JobRulesTests.job(schedule), configuredSince: since)
    let observation = ClusterObservation(
      cluster, catalog: backups.map { .value(.init(asked: now, backups: $0)) } ?? .silent(.seconds(1)))
    let observations = Observations(now: now, settings: settings)
    return Verdict(BackupRules.age(.physical, observation, [job], observations))
  }

  @Test("the newest backup may be as old as the schedule allows, or a day") func ages() throws {
    #expect(try Self.age([Self.backup(23)], nil) == .right)
    #expect(try Self.age([Self.backup(25)], nil) == .warning)
    #expect(try Self.age([Self.backup(49)], nil) == .critical)
    #expect(try Self.age([Self.backup(25)], "0 2 * * *") == .right, "an hour more for the run")
    #expect(try Self.age([Self.backup(3)], "0 * * * *") == .warning)
    #expect(try Self.age([Self.backup(6 * 24)], "0 2 * * 0") == .right)
    // Working days only: from Friday to Monday it is three days.
    #expect(try Self.age([Self.backup(72)], "0 2 * * 1-5") == .right)
    #expect(try Self.age([Self.backup(75)], "0 2 * * 1-5") == .warning)
    #expect(
      try Self.age([Self.backup(3)], "0 2 * * *", settings: MonitorSettings(ages: [.physical: .seconds(7200)]))
        == .warning, "as configured")
  }

  @Test("none at all is critical, once there has been time for one") func none() throws {
    #expect(try Self.age([], nil) == .critical)
    #expect(try Self.age([Self.backup(1, deleted: true)], nil) == .critical)
    #expect(try Self.age([], nil, since: Self.now - .seconds(3600)) == .right)
    #expect(try Self.age(nil, nil) == .unclear, "nobody knows what the stores hold")
  }

  @Test("the least of several schedules counts") func several() throws {
    let often = JobObservation(try JobRulesTests.job("0 * * * *"), configuredSince: Self.now)
    let seldom = JobObservation(try JobRulesTests.job("0 2 * * *"), configuredSince: Self.now)
    let limit = BackupRules.limit(.physical, [seldom, often], Self.now, MonitorSettings())
    #expect(limit == .seconds(3600 + 3600 + 300))
    #expect(BackupRules.limit(.logical, [seldom, often], Self.now, MonitorSettings()) == .seconds(8 * 3600))
  }

  @Test("as many exist as are promised and were made") func counts() throws {
    func verdict(existing: Int, runs: Int, promised: Int, asked: Int = 3600) throws -> Verdict {
      let backups = (0..<existing).map { Self.backup($0 + 1) }
      let records = (0..<runs).map { index in
        var run = JobRulesTests.run(at: Self.now - .seconds(index * 3600))
        run.backup = index < existing ? backups[index].id : BackupID(started: Self.now - .seconds(index * 3600))
        return run
      }
      let job = JobObservation(try JobRulesTests.job(promised: promised), runs: records, configuredSince: Self.now)
      return Verdict(
        BackupRules.count(
          job,
          ClusterObservation(Self.cluster, catalog: .value(.init(asked: Self.now + .seconds(asked), backups: backups))))
      )
    }
    #expect(try verdict(existing: 0, runs: 0, promised: 7) == .right)
    #expect(try verdict(existing: 3, runs: 3, promised: 7) == .right)
    #expect(try verdict(existing: 7, runs: 20, promised: 7) == .right)
    #expect(try verdict(existing: 6, runs: 20, promised: 7) == .critical)
    #expect(try verdict(existing: 0, runs: 1, promised: 1) == .critical)
    #expect(try verdict(existing: 0, runs: 1, promised: 1, asked: -3600) == .right, "made after the stores were read")
  }

  // MARK: Patterns

  private static func runs(_ values: [(total: Int64, new: Int64, stored: Int64)]) -> [RunRecord] {
    values.map { JobRulesTests.run(at: now, total: $0.total, new: $0.new, stored: $0.stored) }
  }
  private static let gibibyte: Int64 = 1 << 30
  private static let usual = (total: 100 * gibibyte, new: 2 * gibibyte, stored: gibibyte / 2)

  @Test("a backup that is smaller than usual is suspicious, with enough of a past") func sizes() throws {
    let job = try JobRulesTests.job()
    func verdict(_ newest: Int64, before: [Int64]) -> Verdict {
      let runs = Self.runs(([newest] + before).map { ($0, 1, 1) })
      return Verdict(PatternRules.size(job, runs, MonitorSettings(sizeDropPercent: 30)))
    }
    #expect(verdict(10, before: []) == .right)
    #expect(verdict(10, before: [100, 100, 100, 100]) == .right, "too little of a past")
    #expect(verdict(10, before: [100, 100, 100, 100, 100]) == .warning)
    #expect(verdict(69, before: [100, 100, 100, 100, 100]) == .warning)
    #expect(verdict(75, before: [100, 100, 100, 100, 100]) == .unclear)
    #expect(verdict(90, before: [100, 100, 100, 100, 100]) == .right)
    #expect(verdict(100, before: [1, 100, 1, 100, 100]) == .right, "single wild values do not count")
    #expect(verdict(200, before: [100, 100, 100, 100, 100]) == .right)
  }

  @Test("data that is encrypted in place changes everywhere and does not compress") func patterns() throws {
    let job = try JobRulesTests.job()
    func verdict(_ newest: (total: Int64, new: Int64, stored: Int64), before count: Int = 8) -> Verdict {
      let first = (total: Self.usual.total, new: Self.usual.total, stored: Self.usual.total / 4)
      let past = Array(repeating: Self.usual, count: max(0, count - 1)) + (count > 0 ? [first] : [])
      return Verdict(PatternRules.pattern(job, Self.runs([newest] + past)))
    }
    let gib = Self.gibibyte
    #expect(verdict(Self.usual) == .right)
    #expect(verdict((100 * gib, 4 * gib, gib)) == .right, "twice as much as usual")
    #expect(verdict((100 * gib, 80 * gib, 20 * gib)) == .warning, "everything changed")
    #expect(verdict((100 * gib, 2 * gib, 2 * gib)) == .warning, "nothing could be compressed")
    #expect(verdict((100 * gib, 1 << 20, 1 << 20)) == .right, "too little to say")
    #expect(verdict((100 * gib, 80 * gib, 80 * gib), before: 4) == .right, "too little of a past")
    #expect(verdict((100 * gib, 0, 0)) == .right)
  }

  @Test("records that lack a figure, or hold none of use, are passed over") func holes() throws {
    let job = JobObservation(
      try JobRulesTests.job(),
      runs: [JobRulesTests.run(at: Self.now)] + Self.runs(Array(repeating: (0, 0, 0), count: 9)),
      configuredSince: Self.now)
    var observations = Observations(now: Self.now)
    observations.jobs = [job]
    #expect(PatternRules.judge(observations).map { Verdict($0) } == [.right, .right])
  }

  @Test("a median and its spread are not moved by one value") func robust() {
    #expect(Robust([]) == nil)
    #expect(Robust([3.0])?.median == 3 && Robust([3.0])?.spread == 0)
    #expect(Robust([1.0, 2, 3, 4, 1000])?.median == 3)
    #expect(Robust([1.0, 2, 3, 4])?.median == 2.5)
  }

  // MARK: Stores

  @Test("a store lags once what it lacks is older than allowed") func lags() {
    var observations = Observations(now: Self.now)
    observations.settings.lagLimit = .seconds(900)
    for (seconds, expected) in [
      (nil, Verdict.right), (100, .right), (600, .unclear), (901, .warning), (3601, .critical), (-50, .right),
    ] as [(Int?, Verdict)] {
      let store = StoreObservation(
        StoreID(unchecked: "cloud"), location: "x", behindSince: seconds.map { Self.now - .seconds($0) })
      #expect(Verdict(StoreRules.lag(store, observations)) == expected, "\(seconds ?? 0)")
    }
  }

  @Test("a disk is full, or will be, by its trend") func disks() {
    func verdict(_ percent: Int64, hours: Int? = nil) -> Verdict {
      Verdict(
        StoreRules.disk(
          DiskObservation(
            name: "state", uses: ["the state directory \"/s\""], freeBytes: percent, totalBytes: 100,
            timeLeft: hours.map { .seconds($0 * 3600) }), MonitorSettings()))
    }
    #expect(verdict(50) == .right && verdict(4) == .unclear && verdict(2) == .critical && verdict(-1) == .critical)
    #expect(verdict(50, hours: 100) == .right && verdict(50, hours: 8) == .unclear)
    #expect(verdict(50, hours: 3) == .warning && verdict(50, hours: 0) == .critical)
    let unknown = DiskObservation(name: "s", uses: ["s"], freeBytes: 0, totalBytes: 0)
    #expect(Verdict(StoreRules.disk(unknown, MonitorSettings())) == .right, "no division by nothing")
  }

  @Test("a trend is a line through the last hours, not the last minute") func trends() {
    var trend = DiskTrend()
    func note(_ minute: Int, _ free: Int64) -> Duration? {
      trend.timeLeft(free: free, at: .seconds(minute * 60), spacing: .seconds(60), shortest: .seconds(600))
    }
    for minute in 0..<10 { #expect(note(minute, 100_000 - Int64(minute) * 600) == nil) }
    // 600 bytes a minute are 10 a second.
    #expect(note(10, 94_000) == .seconds(9400))
    // A clock that went back begins anew.
    #expect(note(0, 90_000) == nil)
    var still = DiskTrend()
    for minute in 0..<30 {
      #expect(
        still.timeLeft(free: 500, at: .seconds(minute * 60), spacing: .seconds(60), shortest: .seconds(60)) == nil)
    }
  }

  @Test("prunes that free nothing are told where room is needed, or what is deleted does not go") func idle() {
    func verdict(_ runs: Int, waiting: Int64 = 0, days: Int = 0, freePercent: Int64 = 50) -> Verdict? {
      var observations = Observations(now: Self.now)
      observations.disks = [
        DiskObservation(
          name: "store:local", uses: ["store \"local\" at \"/r\""], freeBytes: freePercent, totalBytes: 100)
      ]
      let observation = ClusterObservation(
        Self.cluster,
        prune: PruneObservation(
          idleRuns: runs, idleSince: Self.now - .seconds(days * 86400), waitingBytes: ByteCount(waiting)))
      return StoreRules.pruneIdle(observation, observations).first.map { Verdict($0) }
    }
    #expect(verdict(50) == .right, "nothing is old enough yet")
    #expect(verdict(2, freePercent: 5) == .right && verdict(3, freePercent: 5) == .warning)
    #expect(verdict(50, waiting: 1, days: 2) == .right && verdict(50, waiting: 1, days: 5) == .warning)
  }
}
