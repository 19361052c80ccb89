import ArgumentParser

struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "The daemon in numbers, in Prometheus' text format.",
    example: "backupctl metrics")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let text = try shared.client().metrics()
    // Its last line has its end already.
    shared.show(.fields(["text": text])) { String(text.dropLast(text.hasSuffix("\n") ? 1 : 0)) }
  }
}
