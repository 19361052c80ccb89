public import ArgumentParser
public import BackupModel
import Repository

extension BackupKind: ExpressibleByArgument {
  public static let allValueStrings = [BackupKind.physical, .logical].map(\.rawValue)
}

struct BackupsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backups", abstract: "The backups in the repository, oldest first.",
    discussion: "Reads the repository itself; the daemon need not run.",
    example: "backupctl backups --cluster main --kind physical")

  @Option(
    help: "Only those of this cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID?
  @Option(help: "Only those of this kind.", completion: .list(BackupKind.allValueStrings))
  var kind: BackupKind?
  @Option(
    help: ArgumentHelp("Only what this store holds, such as one of durability on-copy.", valueName: "store"),
    completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID?
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openForReading(settings, only: store, asOf: past.moment())
    if let cluster { try ClusterChoice.check(cluster, settings, repository) }
    let (all, damaged, unheard) = try BackupCatalog(repository).listWithArchives(cluster)
    for (store, report) in unheard.sorted(by: { $0.key < $1.key }) {
      ErrorOutput.warn("what store \"\(store)\" alone holds is not shown: \(report.summary)", hint: report.hint)
    }
    let backups = all.filter { kind == nil || $0.kind == kind }
    shared.show(.list(backups)) {
      if !backups.isEmpty { return Self.table(backups).text() }
      return damaged.isEmpty ? "there are no backups yet" : "there are no backups that can be read"
    }
    guard damaged.isEmpty else {
      for one in damaged { ErrorOutput.print(one.report) }
      throw ExitCode(ExitStatus.failed)
    }
  }

  private static func table(_ backups: [Backup]) -> Table {
    let time = LocalTime()
    var table = Table([
      .exact("BACKUP"), .text("CLUSTER", drop: 3), .text("KIND", drop: 6), .text("JOB", drop: 4),
      .exact("FINISHED"), .number("TOTAL"), .number("NEW", drop: 2), .number("STORED"), .exact("STOP LSN", drop: 5),
      .text("STORES", drop: 1),
    ])
    table.rows = backups.map { backup in
      let missing = backup.missingStores.map { "\($0) missing" }
      let stores = (backup.stores.map(\.rawValue) + missing).joined(separator: ", ")
      return [
        Table.Cell(backup.id.text), Table.Cell(backup.cluster.rawValue), Table.Cell(backup.kind.rawValue),
        Table.Cell(backup.job?.rawValue), Table.Cell(time.listed(backup.finished)), Table.Cell("\(backup.totalBytes)"),
        Table.Cell("\(backup.newBytes)"), Table.Cell("\(backup.storedBytes)"), Table.Cell("\(backup.stopLSN)"),
        Table.Cell(
          backup.deleted.map { "deleted \(time.listed($0))" } ?? stores,
          missing.isEmpty && backup.deleted == nil ? .plain : .warning),
      ]
    }
    return table
  }
}
