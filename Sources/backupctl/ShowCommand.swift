import ArgumentParser
import BackupModel
import LogicalBackup
import Repository

#if canImport(Glibc)
  import Glibc
#endif

struct ShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Everything about one backup.",
    discussion: "Reads the repository itself; the daemon need not run.",
    example: "backupctl show 20261102T020000Z-kqwzxmbt")

  @Argument(
    help: "The backup, as \"backupctl backups\" shows it.", completion: NameCompletion.backups,
    transform: parsing { try BackupID($0) })
  var backup: BackupID
  @Option(
    help: ArgumentHelp("Read from this store alone, such as one of durability on-copy.", valueName: "store"),
    completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID?
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openForReading(settings, only: store, asOf: past.moment())
    let catalog = BackupCatalog(repository)
    let reader = try catalog.open(backup)
    let header = reader.header
    var stores: [StoreID] = []
    for store in repository.stores
    where try store.objects.size(of: reader.lineage.manifest(backup)) != nil {
      stores.append(store.id)
    }
    let missing = repository.stores.map(\.id).filter { !stores.contains($0) }
    let summary = header.backup(stores: stores, missingStores: missing)
    guard let dump = header.dump else {
      return shared.show(header.document(summary, contents: nil)) { Self.text(header, summary) }
    }
    let contents = Self.contents(reader, programs: settings.cluster(header.cluster)?.programs)
    shared.show(header.document(summary, contents: contents)) {
      Self.text(header, dump, summary) + "\n" + (contents ?? []).map { "  " + $0 }.joined(separator: "\n")
    }
  }

  /// Nil where nobody here can tell, which is said.
  private static func contents(_ reader: BackupReader, programs: String?) -> [String]? {
    // pg_restore reads no further than the table of contents.
    signal(SIGPIPE, SIG_IGN)
    do {
      return try DumpLoading(reader, cancellation: Interruption.cancellation()).contents(programs: programs)
    } catch {
      let report = ErrorReport(error)
      ErrorOutput.warn("what is in the dump cannot be listed: \(report.summary)", hint: report.hint)
      return nil
    }
  }

  private static func text(_ header: ManifestHeader, _ dump: ManifestHeader.Dump, _ backup: Backup) -> String {
    let time = LocalTime()
    let selection = dump.selection.isEmpty ? "everything" : dump.selection.joined(separator: " ")
    var rows = [
      ("backup", "\(backup.id)"),
      ("cluster", "\(backup.cluster), system identifier \(backup.systemIdentifier)"),
      ("kind", "\(backup.kind.rawValue), number \(backup.sequence) of its lineage"),
      ("job", [header.job?.rawValue, header.run.map { "run \($0)" }].compactMap { $0 }.joined(separator: ", ")),
      ("parent", backup.parent?.description ?? "none"),
      ("database", "\(dump.database): \(selection)" + (dump.globals ? ", and the cluster's globals" : "")),
      ("snapshot", "\(time.full(dump.snapshot)), LSN \(backup.startLSN), timeline \(backup.timeline)"),
      ("finished", "\(time.full(backup.finished)), after \(DurationText.format(backup.finished - backup.started))"),
      ("server", version(header.serverVersion)),
      ("program", dump.program),
      ("dump", "\(backup.totalBytes) in \(dump.pieces) pieces, \(dump.piecesNew) of them new"),
      ("new", "\(backup.newBytes), \(backup.storedBytes) stored"),
      (
        "stores", (backup.stores.map(\.rawValue) + backup.missingStores.map { "\($0) MISSING" }).joined(separator: ", ")
      ),
    ]
    rows += header.warnings.map { ("WARNING", $0) }
    return table(rows)
  }

  private static func text(_ header: ManifestHeader, _ backup: Backup) -> String {
    let time = LocalTime()
    let stores = backup.stores.map(\.rawValue) + backup.missingStores.map { "\($0) MISSING" }
    let rewritten = header.pagesRewritten ?? 0
    let pages =
      "\(header.pagesRead) read, \(header.pagesChanged) changed" + (rewritten > 0 ? ", \(rewritten) rewritten" : "")
    var rows = [
      ("backup", "\(backup.id)"),
      ("cluster", "\(backup.cluster), system identifier \(backup.systemIdentifier)"),
      ("kind", "\(backup.kind.rawValue), number \(backup.sequence) of its lineage"),
      ("job", [header.job?.rawValue, header.run.map { "run \($0)" }].compactMap { $0 }.joined(separator: ", ")),
      ("parent", backup.parent?.description ?? "none"),
      ("started", time.full(backup.started)),
      ("finished", "\(time.full(backup.finished)), after \(DurationText.format(backup.finished - backup.started))"),
      ("WAL", "\(backup.startLSN) to \(backup.stopLSN), timeline \(backup.timeline)"),
      ("server", "\(version(header.serverVersion)), page checksums \(header.dataChecksums ? "on" : "off")"),
      ("source", header.source),
      ("files", "\(header.fileCount), \(backup.totalBytes)"),
      ("pages", pages),
      ("new", "\(backup.newBytes), \(backup.storedBytes) stored"),
      ("stores", stores.joined(separator: ", ")),
    ]
    rows += header.tablespaces.map { ("tablespace", "\($0.oid) at \($0.location)") }
    rows += header.configurationFiles.sorted { $0.key < $1.key }.map { ("settings", "\($0.key) was \($0.value)") }
    rows += header.warnings.map { ("WARNING", $0) }
    rows += header.damagedPages.map { ("DAMAGED", "block \($0.block) of \"\($0.path)\"") }
    return table(rows)
  }

  private static func table(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.filter { !$0.1.isEmpty }.map { $0.0.padded(to: width).styled(.strong) + "  " + $0.1 }
      .joined(separator: "\n")
  }

  /// `server_version_num` 150020 is 15.20.
  private static func version(_ number: Int) -> String { "PostgreSQL \(number / 10000).\(number % 10000)" }
}
