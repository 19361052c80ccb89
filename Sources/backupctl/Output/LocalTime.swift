import BackupModel
import Scheduling

#if canImport(Glibc)
  import Glibc
#endif

/// Times for people, in the host's zone.
struct LocalTime {
  let zone: TimeZoneRules
  /// Whether lists leave out what a person sees at a glance: the zone, the seconds, and today's date. Who reads a file
  /// or a pipe later needs them.
  let isBrief: Bool

  // A zone that cannot be read must not keep anybody from a list: UTC is right as well, and says so with its Z.
  init() { self.init(zone: (try? TimeZoneRules.local()) ?? .utc) }
  init(zone: TimeZoneRules, isBrief: Bool = Output.isTerminal(STDOUT_FILENO)) {
    self.zone = zone
    self.isBrief = isBrief
  }

  /// RFC 3339, whole seconds.
  func text(_ time: Timestamp) -> String { exact(Timestamp(seconds: time.seconds)) }

  /// With the microseconds a recovery target needs.
  func exact(_ time: Timestamp) -> String { time.text(offsetSeconds: zone.utcOffset(at: time)) }

  /// `2026-11-02T03:00:00+01:00 (3h ago)`.
  func full(_ time: Timestamp, now: Timestamp = .now()) -> String {
    "\(text(time)) (\(Self.relative(time, to: now)))"
  }

  /// For a list: `02:00 (3h ago)` on a terminal, with the date where it is not today's; ``full(_:now:)`` elsewhere.
  func listed(_ time: Timestamp, now: Timestamp = .now()) -> String {
    guard isBrief else { return full(time, now: now) }
    let day = text(time).prefix(10)
    let clock = text(time).dropFirst(11).prefix(5)
    return (day == text(now).prefix(10) ? "\(clock)" : "\(day) \(clock)") + " (\(Self.relative(time, to: now)))"
  }
  func listed(_ time: Timestamp?) -> String? { time.map { listed($0) } }

  /// `12s ago`, `90m ago`, `3h ago`, `in 5d`: one unit, rounded down.
  static func relative(_ time: Timestamp, to now: Timestamp = .now()) -> String {
    let seconds = Int64((now.seconds - time.seconds).magnitude)
    let span =
      switch seconds {
      case 0: "now"
      case ..<120: "\(seconds)s"
      case ..<7200: "\(seconds / 60)m"
      case ..<172_800: "\(seconds / 3600)h"
      default: "\(seconds / 86400)d"
      }
    return seconds == 0 ? span : time > now ? "in \(span)" : "\(span) ago"
  }
}
