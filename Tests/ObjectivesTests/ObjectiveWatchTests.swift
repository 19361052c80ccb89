import BackupModel
import Objectives
import Testing

@Suite("An objective that is watched") struct ObjectiveWatchTests {
  /// Samples ten seconds apart, and the state after each.
  private func states(
    _ values: [Double?], objective: Double = 300, from state: ObjectiveState = .unknown, relief: Double? = nil
  ) -> [ObjectiveState] {
    var watch = ObjectiveWatch(state)
    return values.enumerated().map { number, value in
      watch.note(value, objective: objective, at: .seconds(number * 10), reliefSeconds: relief)
      return watch.state
    }
  }

  @Test("is missed when two looks in a row say so, and met again after a minute of calm")
  func misses() {
    let calm = [ObjectiveState](repeating: .missed, count: 6)
    #expect(
      states([5, 301, 311] + [Double?](repeating: 5, count: 7)) == [.met, .met, .missed] + calm + [.met])
    #expect(states([5, 301, 5, 301, 5]) == [.met, .met, .met, .met, .met])
  }

  @Test("changes state once where the value wavers around the limit") func wavers() {
    let values = (0..<10_000).map { Double?($0 % 3 == 0 ? 290 : 310) }
    let found = states([5] + values)
    let changes = zip(found, found.dropFirst()).count { $0 != $1 }
    #expect(changes == 1 && found.last == .missed)
  }

  @Test("is missed where nothing can be restored, and judged by nobody while nothing is known") func nothing() {
    #expect(states([.infinity, .infinity]) == [.unknown, .missed])
    #expect(states([nil, nil, nil]) == [.unknown, .unknown, .unknown])
    #expect(states([nil], from: .missed) == [.missed])
  }

  @Test("is endangered where the value grows all the time and little is left, and says how much") func forecast() {
    var watch = ObjectiveWatch()
    for number in 0...17 { watch.note(Double(number * 10), objective: 300, at: .seconds(number * 10)) }
    #expect(watch.state == .met && watch.breachSeconds == nil)
    watch.note(180, objective: 300, at: .seconds(180))
    #expect(watch.state == .endangered && watch.breachSeconds == 120)
    // The store answers: a minute later nothing is foreseen any more.
    for number in 19...25 { watch.note(3, objective: 300, at: .seconds(number * 10)) }
    #expect(watch.state == .met && watch.breachSeconds == nil)
  }

  @Test("is not endangered by what the next backup mends in time") func relief() {
    let rising = (0..<29).map { Double?(Double($0) * 10) }
    #expect(states(rising, relief: 5).allSatisfy { $0 == .met })
    #expect(states(rising, relief: 4000).last == .endangered)
  }

  @Test("goes on with what was told before a restart") func restart() {
    #expect(states([400, 410], from: .missed) == [.missed, .missed])
    #expect(states([5], from: .missed) == [.missed])
  }

  @Test("does not take the steps of a store that follows every few seconds for a trend") func sawtooth() {
    let values = (0..<100).map { Double?(Double($0 % 3) * 10) }
    #expect(states(values, objective: 60).allSatisfy { $0 == .met })
  }
}
