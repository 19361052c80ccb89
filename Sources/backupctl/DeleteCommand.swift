import ArgumentParser
import BackupModel
import Repository

struct DeleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete a backup; it can be undeleted for a day.",
    discussion: """
      The backup is listed as deleted and used by nothing; "prune" removes it 24 hours later. No other backup is hurt. \
      The last one that can be restored is not deleted. The daemon need not run.
      """, example: "backupctl delete 20261102T020000Z-kqwzxmbt")

  @Argument(help: "The backup.", completion: NameCompletion.backups, transform: parsing { try BackupID($0) })
  var backup: BackupID
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let repository = try shared.openRepository(shared.loadConfiguration())
    let tombstone = try BackupCatalog(repository).delete(
      backup, reason: "asked for", cancellation: Interruption.cancellation())
    let end = tombstone.at + Pruner.grace
    let document = JSONValue.fields(["backup": backup, "deleted": tombstone.at, "undeleteUntil": end])
    shared.show(document) {
      "\(backup) is deleted; \"backupctl undelete \(backup)\" brings it back until \(LocalTime().full(end))"
    }
  }
}

struct UndeleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undelete", abstract: "Bring a deleted backup back.",
    discussion: "Its packs and its WAL are looked for first. The daemon need not run.",
    example: "backupctl undelete 20261102T020000Z-kqwzxmbt")

  @Argument(help: "The backup.", completion: NameCompletion.backups, transform: parsing { try BackupID($0) })
  var backup: BackupID
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let repository = try shared.openRepository(shared.loadConfiguration())
    try BackupCatalog(repository).undelete(
      backup, reason: "asked for", cancellation: Interruption.cancellation())
    shared.show(.fields(["backup": backup])) { "\(backup) is back" }
  }
}
