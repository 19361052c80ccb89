import ArgumentParser
import BackupModel
import DaemonConfiguration

struct ConfigCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check the configuration file, or explain its keys.",
    example: "backupctl config check",
    subcommands: [ConfigCheckCommand.self, ConfigExplainCommand.self])
}

struct ConfigCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Tell everything that is wrong with the configuration file.",
    example: "backupctl config check --config new.yaml")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let path = shared.configurationPath
    do {
      let settings = try shared.loadConfiguration()
      let problems = settings.secretProblems()
      if !problems.isEmpty { throw ConfigurationError.invalid(path: settings.path, problems: problems) }
      shared.show(document(path, [])) { Self.summary(settings) }
    } catch ConfigurationError.invalid(_, let problems) where shared.json {
      Output.write(document(path, problems).text)
      throw ExitCode(ExitStatus.usage)
    }
  }

  private func document(_ path: String, _ problems: [ConfigurationProblem]) -> JSONValue {
    .fields(["path": path, "valid": problems.isEmpty, "problems": problems])
  }

  private static func summary(_ settings: Configuration) -> String {
    func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
    return "ok: \(settings.path) names \(count(settings.clusters.count, "cluster")), "
      + "\(count(settings.repository.stores.count, "store")) and \(count(settings.jobs.count, "job"))"
  }
}

extension ConfigurationProblem: JSONConvertible {
  var json: JSONValue {
    .fields([
      "line": line > 0 ? line : nil, "column": line > 0 ? column : nil, "key": key.isEmpty ? nil : key,
      "message": message, "advice": advice,
    ])
  }
}

struct ConfigExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "What a key of the configuration means; without a key, all there are.",
    discussion: "Needs no configuration file.", example: "backupctl config explain jobs.keep")

  @Argument(
    help: "A key such as jobs.keep, or a section such as repository.", completion: NameCompletion.configurationKeys)
  var key: String?
  @Flag(help: "Print the whole reference as Markdown.")
  var markdown = false
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if markdown && (key != nil || shared.json) { throw ValidationError("--markdown prints everything, and only that.") }
  }

  func run() throws {
    if markdown { return Output.write(String(ConfigurationReference.markdown().dropLast())) }
    let text = try ConfigurationReference.explain(key)
    let keys = try ConfigurationReference.keys(key)
    shared.show(.list(keys)) { text }
  }
}

extension ConfigurationReference.KeyDescription: JSONConvertible {
  var json: JSONValue {
    .fields([
      "key": path, "type": type, "range": range, "default": standard, "required": isRequired, "description": sentence,
    ])
  }
}
