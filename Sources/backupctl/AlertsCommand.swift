import ArgumentParser
import BackupModel

struct AlertsCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "alerts", abstract: "The ways on which people hear of what is wrong.",
    example: "backupctl alerts test", subcommands: [AlertsTestCommand.self])
}

struct AlertsTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Send a test message through every channel, or through one, and say what came of it.",
    example: "backupctl alerts test mail")

  @Argument(
    help: "The channel; all without it.", completion: NameCompletion.alertChannels,
    transform: parsing { try AlertChannelID($0) })
  var channel: AlertChannelID?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let results = try shared.client().testAlerts(channel)
    shared.show(.list(results)) {
      results.isEmpty
        ? "no channel is configured: name one under \"alerts\" in the configuration" : Self.text(results)
    }
    // A daemon that tells nobody has not passed.
    if results.isEmpty || results.contains(where: { !$0.isDelivered }) { throw ExitCode(ExitStatus.failed) }
  }

  private static func text(_ results: [AlertTestResult]) -> String {
    var lines: [String] = []
    for result in results {
      let state = result.isDelivered ? "delivered".styled(.good) : "failed".styled(.warning)
      let answer = result.answer.map { ": \($0)" } ?? ""
      let time = DurationText.format(.microseconds(Int64(result.durationSeconds * 1e6)))
      lines.append("\(result.channel) (\(result.kind))  \(state) in \(time)\(answer)")
      if let error = result.error { lines.append(ErrorOutput.labelled("ERROR", error.description)) }
    }
    return lines.joined(separator: "\n")
  }
}
