import BackupModel
import Scheduling

/// Times for people: RFC 3339 in the host's zone, whole seconds.
struct LocalTime {
  let zone: TimeZoneRules

  // A zone that cannot be read must not keep anybody from a list: UTC is right as well, and says so with its Z.
  init() { zone = (try? TimeZoneRules.local()) ?? .utc }
  init(zone: TimeZoneRules) { self.zone = zone }

  func text(_ time: Timestamp) -> String { exact(Timestamp(seconds: time.seconds)) }
  func text(_ time: Timestamp?) -> String? { time.map { text($0) } }

  /// With the microseconds a recovery target needs.
  func exact(_ time: Timestamp) -> String { time.text(offsetSeconds: zone.utcOffset(at: time)) }

  /// `3m12s ago`, `in 5m`.
  static func relative(_ time: Timestamp, to now: Timestamp = .now()) -> String {
    let whole = Duration.seconds((now.seconds - time.seconds).magnitude)
    return time > now ? "in \(DurationText.format(whole))" : "\(DurationText.format(whole)) ago"
  }
}
