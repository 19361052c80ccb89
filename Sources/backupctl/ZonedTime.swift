import BackupModel
import Scheduling

/// A time as an operator typed it, settled to one instant.
struct ZonedTime {
  let time: Timestamp
  /// Whether the text named no zone and was read by the clock of a zone.
  let isAssumed: Bool

  /// The time that an option names; tells the operator by which zone one without a zone was read.
  static func told(_ text: String, option: String) throws -> Timestamp {
    let zone = try TimeZoneRules.local()
    let settled = try ZonedTime(text, in: zone)
    if settled.isAssumed {
      ErrorOutput.write(
        "backupctl: \(option) names no zone; by the clock in \(zone.name) it is "
          + LocalTime(zone: zone).exact(settled.time))
    }
    return settled.time
  }

  /// - Throws: ``UsageError`` where the text is no time, or where the zone's clock showed it twice or never.
  init(_ text: String, in zone: TimeZoneRules) throws {
    guard let civil = CivilText(text) else {
      throw UsageError(
        "\"\(text.prefix(120))\" is not a valid time",
        detail: "Expected a date, a time and a zone, such as \"2026-11-02 03:00:00+00:00\".")
    }
    let instants = zone.instants(ofLocal: civil)
    isAssumed = civil.offsetSeconds == nil
    if instants.count == 1 {
      time = instants[0]
      return
    }
    let clock = LocalTime(zone: zone)
    if instants.isEmpty {
      // Read by the offset before the jump and by the one after it.
      let day = Duration.seconds(86400)
      let readings = [civil.asUTC + day, civil.asUTC - day].map {
        clock.exact(civil.asUTC - .seconds(zone.utcOffset(at: $0)))
      }
      throw UsageError(
        "the clock in \(zone.name) never showed \"\(text)\"",
        detail: "It was put forward over that time: \(readings[0]) is before it, \(readings[1]) after.",
        hint: "Name one of them, with its zone.")
    }
    throw UsageError(
      "the clock in \(zone.name) showed \"\(text)\" twice",
      detail: "It may be \(clock.exact(instants[0])) or \(clock.exact(instants[1])).",
      hint: "Name one of them, with its zone.")
  }
}
