import ArgumentParser
import BackupModel

struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload", abstract: "Have the daemon read its configuration again; say what changed.",
    example: "backupctl reload")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let differences = try shared.client().reload()
    shared.show(.fields(["differences": differences])) {
      differences.isEmpty ? "reloaded; nothing changed" : (["reloaded"] + differences).joined(separator: "\n  ")
    }
  }
}
