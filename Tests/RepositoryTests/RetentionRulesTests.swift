import BackupModel
import Testing

@testable import Repository

@Suite("What a configuration keeps") struct RetentionRulesTests {
  static let now = Timestamp(seconds: 1_800_000_000)
  static let nightly = JobID(unchecked: "nightly")
  static let hourly = JobID(unchecked: "hourly")

  /// One backup a day, the newest now; the job of each.
  static func backups(_ jobs: [JobID?]) -> [Backup] {
    jobs.indices.map { index in
      let finished = now - .seconds(86400 * (jobs.count - 1 - index)) - .seconds(60)
      var header = ManifestHeader(
        id: BackupID(started: finished), cluster: ClusterID(unchecked: "main"), systemIdentifier: SystemIdentifier(7),
        kind: .physical, job: jobs[index], run: nil, sequence: UInt64(index + 1), started: finished)
      header.finished = finished
      return header.backup(stores: [], missingStores: [])
    }
  }

  /// Sequence numbers of what stays.
  static func kept(
    _ backups: [Backup], _ policies: [JobID: RetentionPolicy?], window: Duration? = nil, restorable: UInt64? = nil
  ) -> [UInt64] {
    let rules = RetentionRules(policies: policies, recoveryWindow: window)
    let newest = backups.first { $0.sequence == restorable ?? UInt64(backups.count) }?.id
    let verdicts = rules.verdicts(on: backups, restorable: newest, now: now)
    return backups.filter { verdicts[$0.id]!.keeps }.map(\.sequence)
  }

  @Test("is a number, a span that never leaves fewer than at-least, or what either keeps")
  func policies() {
    let ten = Self.backups(Array(repeating: Self.nightly, count: 10))
    func kept(_ policy: RetentionPolicy) -> [UInt64] { Self.kept(ten, [Self.nightly: policy]) }
    #expect(kept(.init(count: 3)) == [8, 9, 10])
    #expect(kept(.init(count: 100)) == Array(1...10))
    #expect(kept(.init(spanSeconds: 4 * 86400)) == [7, 8, 9, 10])
    #expect(kept(.init(spanSeconds: 30)) == [9, 10])
    #expect(kept(.init(spanSeconds: 30, atLeast: 5)) == [6, 7, 8, 9, 10])
    #expect(kept(.init(spanSeconds: 30, atLeast: 1)) == [10])
    #expect(kept(.init(spanSeconds: 2 * 86400, count: 6)) == [5, 6, 7, 8, 9, 10])
    #expect(kept(.init(spanSeconds: 5 * 86400, count: 1)) == [6, 7, 8, 9, 10])
  }

  @Test("is the newest of each of the latest periods, whoever made them where one job owns all")
  func periods() {
    // One a day up to 2027-01-15, a Friday.
    let backups = Self.backups((0..<70).map { $0 % 2 == 0 ? Self.nightly : Self.hourly })
    var rules = RetentionRules(
      policies: [Self.nightly: .some(.init(periods: [.monthly: 3, .daily: 2, .weekly: 2]))], recoveryWindow: nil)
    rules.owner = Self.nightly
    let verdicts = rules.verdicts(on: backups, restorable: backups.last?.id, now: Self.now)
    let kept = backups.filter { verdicts[$0.id]!.keeps }.map { String($0.finished.description.prefix(10)) }
    #expect(kept == ["2026-11-30", "2026-12-31", "2027-01-10", "2027-01-14", "2027-01-15"])
    #expect(verdicts[backups[69].id]?.reason == "it is daily number 1 of 2")
  }

  @Test("counts each job's backups by themselves, and keeps what no configured job made")
  func jobs() {
    let mixed = Self.backups([Self.nightly, Self.hourly, Self.hourly, nil, Self.nightly, Self.hourly, Self.hourly])
    #expect(Self.kept(mixed, [Self.nightly: .init(count: 1), Self.hourly: .init(count: 2)]) == [4, 5, 6, 7])
    #expect(Self.kept(mixed, [Self.hourly: .init(count: 1)]) == [1, 4, 5, 7])
    var forever: [JobID: RetentionPolicy?] = [Self.hourly: .init(count: 1)]
    forever.updateValue(nil, forKey: Self.nightly)
    #expect(Self.kept(mixed, forever) == [1, 4, 5, 7])
    #expect(Self.kept(mixed, [:]) == Array(1...7))
  }

  @Test("counts what a job took over from another as its own, too")
  func claims() {
    let backups = Self.backups([Self.hourly, Self.hourly, Self.hourly, Self.hourly, Self.nightly])
    let rules = RetentionRules(
      policies: [Self.nightly: .init(count: 2), Self.hourly: .init(count: 1)], recoveryWindow: nil)
    func kept(_ claims: [BackupID: Set<JobID>]) -> [UInt64] {
      let verdicts = rules.verdicts(on: backups, claims: claims, restorable: backups[4].id, now: Self.now)
      return backups.filter { verdicts[$0.id]!.keeps }.map(\.sequence)
    }
    #expect(kept([:]) == [4, 5])
    #expect(kept([backups[1].id: [Self.nightly]]) == [2, 4, 5])
    #expect(kept([backups[0].id: [Self.nightly], backups[1].id: [Self.nightly]]) == [2, 4, 5])
    #expect(kept([backups[2].id: [JobID(unchecked: "gone")]]) == [3, 4, 5])
  }

  @Test("includes the backup that the recovery window begins after, and the last that can be restored")
  func window() {
    let ten = Self.backups(Array(repeating: Self.nightly, count: 10))
    let policy: [JobID: RetentionPolicy?] = [Self.nightly: .init(count: 2)]
    #expect(Self.kept(ten, policy, window: .seconds(5 * 86400)) == [5, 9, 10])
    #expect(Self.kept(ten, policy, window: .seconds(3600)) == [9, 10])
    #expect(Self.kept(ten, policy, window: .seconds(100 * 86400)) == [9, 10])
    #expect(Self.kept(ten, policy, restorable: 4) == [4, 9, 10])
    let rules = RetentionRules(policies: policy, recoveryWindow: nil)
    #expect(rules.verdicts(on: ten, restorable: nil, now: Self.now).values.allSatisfy { $0.keeps })
  }
}
