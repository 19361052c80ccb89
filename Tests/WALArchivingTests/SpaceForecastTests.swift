import Testing

@testable import WALArchiving

@Suite("A forecast of space") struct SpaceForecastTests {
  private static let gigabyte: Int64 = 1 << 30

  @Test("says how long what is free lasts at the rate of the last minutes") func steady() {
    var forecast = SpaceForecast()
    var answers: [Duration?] = []
    // 10 MiB a second.
    for second in stride(from: 0, through: 300, by: 15) {
      answers.append(forecast.timeLeft(free: 100 * Self.gigabyte - Int64(second) * 10 << 20, at: .seconds(second)))
    }
    #expect(answers.prefix(4) == [nil, nil, nil, nil], "what it saw is too short for a trend")
    for (number, answer) in answers.enumerated().dropFirst(4) {
      let free = 100 * 1024 - number * 150
      #expect(answer == .seconds(free / 10))
    }
  }

  @Test("says nothing where it does not shrink, and zero where nothing is left") func quiet() {
    var forecast = SpaceForecast()
    for second in stride(from: 0, through: 600, by: 15) {
      #expect(forecast.timeLeft(free: Self.gigabyte + Int64(second), at: .seconds(second)) == nil)
    }
    #expect(forecast.timeLeft(free: 0, at: .seconds(615)) == .zero)
    #expect(forecast.timeLeft(free: -5, at: .seconds(630)) == .zero)
    var empty = SpaceForecast()
    #expect(empty.timeLeft(free: 0, at: .zero) == .zero)
  }

  @Test("forgets what was long ago, and what a clean-up gave back") func forgets() {
    var forecast = SpaceForecast()
    _ = forecast.timeLeft(free: 100 * Self.gigabyte, at: .zero)
    // Since then nothing has changed for longer than it looks back.
    for second in stride(from: 15, through: 1500, by: 15) {
      _ = forecast.timeLeft(free: 50 * Self.gigabyte, at: .seconds(second))
    }
    #expect(forecast.timeLeft(free: 50 * Self.gigabyte, at: .seconds(1515)) == nil)
    #expect(forecast.timeLeft(free: 90 * Self.gigabyte, at: .seconds(1530)) == nil)
  }
}
