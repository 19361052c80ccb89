internal import BackupModel
public import Scheduling

/// Hours of each day in which only what cannot wait is told.
public struct QuietHours: Sendable, Hashable {
  /// Minutes since midnight, 0 to 1439. Where they begin later than they end they go past midnight.
  public var begin: Int
  public var end: Int
  public var zone: TimeZoneRules
  public var holdsCritical: Bool

  public init(begin: Int, end: Int, zone: TimeZoneRules, holdsCritical: Bool = false) {
    self.begin = begin
    self.end = end
    self.zone = zone
    self.holdsCritical = holdsCritical
  }

  func holds(_ severity: Condition.Severity, at time: Timestamp) -> Bool {
    if severity == .critical, !holdsCritical { return false }
    let minute = minute(of: time)
    return begin <= end ? (begin..<end).contains(minute) : minute >= begin || minute < end
  }

  /// When a moment within them ends: the next whole minute at which nothing is held, within a day and an hour.
  func end(after time: Timestamp) -> Timestamp {
    var moment = Timestamp(seconds: time.seconds / 60 * 60 + 60)
    // Minute by minute: the clock may be set for summer in between.
    for _ in 0..<(25 * 60) {
      if minute(of: moment) == end { return moment }
      moment = moment + .seconds(60)
    }
    return moment
  }

  private func minute(of time: Timestamp) -> Int {
    let civil = (time + .seconds(zone.utcOffset(at: time))).civil
    return civil.hour * 60 + civil.minute
  }
}
