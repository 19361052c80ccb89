import ArgumentParser
import BackupModel
import BlockingWork
import DaemonConfiguration
import LogicalBackup
import Repository

#if canImport(Glibc)
  import Glibc
#endif

struct RestoreDumpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore-dump", abstract: "Load a logical backup into a database.",
    discussion: """
      The database must exist. Without --jobs all of it is loaded in one transaction: whole, or not at all. A dump of \
      several streams ("parallel" of its job) is not: definitions, the rows of each stream, and indexes and constraints \
      are each loaded whole or not at all. Reads the repository itself; the daemon need not run.
      """,
    example: "backupctl restore-dump 20261102T020000Z-kqwzxmbt --into oauth_copy --table users")

  @Argument(
    help: "The backup, as \"backupctl backups --kind logical\" shows it.", completion: NameCompletion.backups,
    transform: parsing { try BackupID($0) })
  var backup: BackupID
  @Option(help: ArgumentHelp("The database to load it into.", valueName: "database"))
  var into: String
  @Option(help: "Only this table; may be given several times.")
  var table: [String] = []
  @Flag(help: "Drop what the dump holds from the database first.")
  var clean = false
  @Option(help: "Connections that load at the same time; a dump of one stream is put into a file for it.")
  var jobs = 1
  @Option(help: "With --jobs: where that file is put.", completion: .directory)
  var spool = "/tmp"
  @Option(help: "Another server's connection string, without a password; otherwise that of the backup's cluster.")
  var connection: String?
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if !(1...64).contains(jobs) { throw ValidationError("--jobs must be between 1 and 64.") }
  }

  func run() throws {
    // pg_restore may stop reading early; how it ended tells why.
    signal(SIGPIPE, SIG_IGN)
    let settings = try shared.loadConfiguration()
    let repository = try shared.openForReading(settings, asOf: past.moment())
    let reader = try BackupCatalog(repository).open(backup)
    let cluster = settings.cluster(reader.header.cluster)
    var options = DumpLoading.Options(
      connection: try target(cluster, reader.header.cluster), database: into,
      spoolDirectory: FilePath.absolute(spool))
    options.tables = table
    options.isClean = clean
    options.jobs = jobs
    options.programs = cluster?.programs
    let meter = ProgressMeter()
    let words = try DumpLoading(reader, cancellation: Interruption.cancellation()).load(options) { meter.update($0) }
    meter.finish()
    for line in words { ErrorOutput.warn(line) }
    shared.show(.fields(["backup": backup, "database": into, "bytes": reader.header.totalBytes])) {
      "loaded backup \(backup) into database \"\(into)\""
    }
  }

  private func target(_ cluster: ClusterSettings?, _ id: ClusterID) throws -> Secret {
    if let connection { return Secret(connection) }
    guard let cluster else {
      throw UsageError(
        "could not tell which server to load into",
        detail: "Cluster \"\(id)\" is not in the configuration; name a server with --connection.")
    }
    let credentials = try shared.credentials()
    return try cluster.connectionString { try credentials.read($0) }
  }
}
