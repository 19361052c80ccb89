import ArgumentParser
import BackupModel
import Scheduling

struct ScheduleCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Try out a schedule.",
    example: "backupctl schedule next @daily", subcommands: [ScheduleNextCommand.self])
}

struct ScheduleNextCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "next", abstract: "When a schedule is due next.",
    discussion: """
      Needs no configuration file. Beside values, names, ranges, steps and lists, days take ? (any), L (the month's last day), 5L (its last Friday) \
      and 5#2 (its second Friday).
      """, example: "backupctl schedule next \"0 2 * * mon-fri\" --timezone Europe/Berlin")

  @Argument(help: "Five fields as in crontab(5), in quotes, or @hourly, @daily, @weekly, @monthly, @yearly.")
  var expression: String
  @Option(help: "The zone of the schedule, such as Europe/Berlin; otherwise the host's.")
  var timezone: String?
  @Option(help: ArgumentHelp("Begin after this time; otherwise now.", valueName: "time"))
  var from: String?
  @Option(help: "How many times, 1 to 1000.")
  var count = 5
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    guard (1...1000).contains(count) else { throw ValidationError("--count must be from 1 to 1000.") }
  }

  func run() throws {
    let schedule = try CronExpression(expression)
    let zone = try timezone.map { try TimeZoneRules(named: $0) } ?? TimeZoneRules.local()
    var time = try from.map { try ZonedTime($0, in: zone).time } ?? .now()
    var due: [Timestamp] = []
    while due.count < count, let next = schedule.next(after: time, in: zone) {
      due.append(next)
      time = next
    }
    let clock = LocalTime(zone: zone)
    shared.show(.list(due)) { due.isEmpty ? "never" : due.map { clock.full($0) }.joined(separator: "\n") }
  }
}
