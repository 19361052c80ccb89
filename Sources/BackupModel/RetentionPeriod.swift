/// A stretch of the calendar, in UTC; weeks begin on Monday.
public enum RetentionPeriod: String, Sendable, Hashable, CaseIterable {
  case hourly, daily, weekly, monthly, yearly

  /// The same for all instants of one period, and another for each period.
  public func number(of instant: Timestamp) -> Int64 {
    let hours = (instant.microseconds / 3_600_000_000)
    let days = hours / 24
    switch self {
    case .hourly: return hours
    case .daily: return days
    // 1970 began on a Thursday.
    case .weekly: return (days + 3) / 7
    case .monthly, .yearly:
      // RFC 3339 begins with the year and the month.
      let digits = instant.description.utf8.prefix(self == .yearly ? 4 : 7).filter { $0 != UInt8(ascii: "-") }
      return digits.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }
  }
}
