import BackupModel
import DurableFiles
import JobState
import TestSupport
import Testing

@Suite("The history of objectives") struct ObjectiveHistoryTests {
  private static let tokens = TierID(unchecked: "tokens")
  private static let noon = StateFixture.noon

  private func sample(_ minutes: Int64, _ loss: Double?, _ state: ObjectiveState = .met) -> ObjectiveSample {
    ObjectiveSample(
      at: Self.noon + .seconds(minutes * 60),
      tiers: [Self.tokens: AttainedObjective(lossSeconds: loss, rpoState: state, recoverySeconds: 40)])
  }

  @Test("keeps a sample a minute for a day, and each hour for longer") func keeps() throws {
    try StateFixture.run { directory in
      let history = try ObjectiveHistory(directory: directory, now: Self.noon)
      #expect(try history.record(sample(0, 3)))
      #expect(try !history.record(ObjectiveSample(at: Self.noon + .seconds(30), tiers: [:])))
      for number in 1..<12 { #expect(try history.record(sample(Int64(number * 5), Double(number), .missed))) }
      #expect(try history.hours(of: Self.tokens, since: Self.noon).isEmpty, "the hour has not ended")
      try history.record(sample(60, 500))
      let hour = try #require(try history.hours(of: Self.tokens, since: Self.noon).first)
      #expect(hour.hour == Self.noon && hour.samples == 12 && hour.missed == 11)
      #expect(hour.lossMinimum == 1 && hour.lossMaximum == 11 && hour.recoveryMaximum == 40)
      #expect(hour.lossMean == 5.75)
      #expect(history.worstLoss(of: Self.tokens) == 500)
      // A day later.
      try history.record(sample(60 + 1440, 7))
      #expect(history.worstLoss(of: Self.tokens) == 7)
      #expect(try history.hours(of: Self.tokens, since: Self.noon).map(\.lossMaximum) == [11, 500])
    }
  }

  @Test("goes on after a crash: a torn line is passed over, an hour that was not summed up is") func crash() throws {
    try StateFixture.run { directory in
      let first = try ObjectiveHistory(directory: directory, now: Self.noon)
      for minute in 0..<10 { try first.record(sample(Int64(minute), 8)) }
      let minutes = "\(directory)/minutes-\(Self.noon.description.prefix(10)).jsonl"
      try StateFixture.append("{\"version\":1,\"at\":\"2026", to: minutes)
      let second = try ObjectiveHistory(directory: directory, now: Self.noon + .seconds(7200))
      #expect(second.worstLoss(of: Self.tokens) == 8)
      #expect(try second.hours(of: Self.tokens, since: Self.noon).map(\.samples) == [10])
      try second.record(sample(121, 2))
      #expect(try StateFixture.text(minutes).split(separator: "\n").count == 11, "the fragment went")
      // Opened a third time the hour is not written again.
      let third = try ObjectiveHistory(directory: directory, now: Self.noon + .seconds(7400))
      #expect(try third.hours(of: Self.tokens, since: Self.noon).map(\.samples) == [10])
    }
  }

  @Test("begins anew where the clock is set back, and knows no loss where nobody knew") func clock() throws {
    try StateFixture.run { directory in
      let history = try ObjectiveHistory(directory: directory, now: Self.noon)
      try history.record(sample(600, 90))
      #expect(try history.record(sample(0, nil, .unknown)))
      #expect(history.worstLoss(of: Self.tokens) == nil)
      #expect(try history.record(sample(1, 4)))
      #expect(history.worstLoss(of: Self.tokens) == 4)
    }
  }

  @Test("forgets minutes after a day and hours by the month") func prunes() throws {
    try StateFixture.run { directory in
      let history = try ObjectiveHistory(directory: directory, now: Self.noon)
      for day in [0, 20, 38, 39] { try history.record(sample(Int64(day) * 1440, 1)) }
      let end = Self.noon + .seconds(39 * 86400)
      try history.prune(olderThan: .seconds(86400), now: end)
      let names = try DurableFile.names(in: directory)
      #expect(names.count { $0.hasPrefix("minutes-") } == 2 && names.count { $0.hasPrefix("hours-") } == 1, "\(names)")
    }
  }

  @Test("what drills measured stays, the newest twenty") func recoveries() throws {
    try StateFixture.run { directory in
      let store = try JobStateStore(directory: directory, now: Self.noon)
      let cluster = ClusterID(unchecked: "oauth")
      #expect(try store.recoveries(of: cluster, now: Self.noon).isEmpty)
      for day in 0..<25 {
        try store.record(
          MeasuredRecovery(
            restoreSeconds: Double(day), replaySeconds: 1, startSeconds: 1, bytes: ByteCount(1), walBytes: ByteCount(1),
            at: Self.noon), of: cluster)
      }
      let again = try JobStateStore(directory: directory, now: Self.noon)
      #expect(try again.recoveries(of: cluster, now: Self.noon).map(\.restoreSeconds) == (5..<25).map(Double.init))
    }
  }
}
