public import ArgumentParser
import BackupModel
public import Recovery
import Repository
public import Storage

#if canImport(Glibc)
  import Glibc
#endif

extension TargetAction: ExpressibleByArgument {}
extension ThawTier: ExpressibleByArgument {}

struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Restore a cluster to any instant the repository reaches.",
    discussion: """
      Without a target it replays all WAL there is. Reads the repository itself; the daemon need not run. The \
      directory must be empty or missing. What the original server used stays untouched: the restored one archives \
      nothing, unless --as-primary.
      """,
    example:
      "backupctl restore /var/lib/postgresql/restored --cluster main --target-time \"2026-11-02 03:00:00+00\" --dry-run"
  )

  @Argument(help: "The new data directory.", completion: .directory)
  var directory: String
  @Option(
    help: "The cluster to restore.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID
  @Option(
    help: "The backup to begin with; otherwise the newest from which the target can be reached.",
    completion: NameCompletion.backups, transform: parsing { try BackupID($0) })
  var backup: BackupID?
  @OptionGroup(title: "Target") var targets: RestoreTargetOptions
  @Option(help: "What the server does at the target.")
  var targetAction: TargetAction = .promote
  @Option(help: "The timeline to follow; otherwise the latest.", transform: parsing(Self.timeline))
  var timeline: TimelineID?
  @Option(
    help: ArgumentHelp("Put the tablespace at OLD to NEW; may be given for each.", valueName: "old=new"),
    transform: parsing(Self.tablespace))
  var tablespace: [(old: String, new: String)] = []
  @Option(help: ArgumentHelp("Put WAL there and link to it.", valueName: "directory"), completion: .directory)
  var walDirectory: String?
  @Option(
    name: .customLong("configuration"),
    help: ArgumentHelp("Put configuration files there that were outside the data directory.", valueName: "directory"),
    completion: .directory)
  var configurationDirectory: String?
  @Option(
    help: "Who will own the files; otherwise the owner of the directory above. Only root can choose.",
    completion: .shellCommand("getent passwd | cut -d: -f1"))
  var owner: String?
  @Flag(help: "Start the server there and wait until it has reached the target.")
  var start = false
  @Option(help: "With --start: the port, where the original's is taken.")
  var port: UInt16?
  @Flag(help: "Only check and tell what would be done.")
  var dryRun = false
  @Flag(help: "The server takes the original's place: its archiving and replication settings stay.")
  var asPrimary = false
  @Option(
    help: ArgumentHelp("Read from this store alone, such as one of durability on-copy.", valueName: "store"),
    completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID?
  @Option(help: "With --store: how fast packs of a cold storage class are thawed; standard if not given.")
  var thawTier: ThawTier?
  @Flag(help: "Do not ask.")
  var yes = false
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if thawTier != nil, store == nil { throw ValidationError("--thaw-tier needs --store.") }
    if port != nil, !start { throw ValidationError("--port needs --start.") }
    if targetAction != .promote, !targets.isGiven {
      throw ValidationError("--target-action \(targetAction.rawValue) needs a target; after all WAL a server promotes.")
    }
  }

  func run() throws {
    let settings = try shared.loadConfiguration()
    let target = try targets.target()
    let asOf = try past.moment()
    let repository = try shared.openForReading(settings, only: store, asOf: asOf)
    try ClusterChoice.check(cluster, settings, repository)
    let options = try restoreOptions(target, asOf: asOf, workers: settings.daemon.workers)
    let plan = try RestorePlanner(repository: repository).plan(options)
    let thaw = try ThawPlan.make(
      repository, plan, tier: thawTier ?? .standard, cancellation: Interruption.cancellation())
    let restorer = Restorer(repository: repository, options: options, plan: plan, thaw: thaw)
    if dryRun {
      try restorer.check()
      return shared.show(plan.document(thaw)) { RestoreText.planned(plan, thaw, into: options.directory) }
    }
    try confirm()
    if let thaw, !yes { try ThawQuestion.ask(thaw) }
    let (report, failure) = try restore(restorer)
    shared.show(report.json) { RestoreText.done(report) }
    if let failure { throw failure }
  }

  /// - Returns: What was restored and, where only the start went wrong, why: the restore itself stands then.
  private func restore(_ restorer: Restorer) throws -> (RestoreReport, startFailure: (any Error)?) {
    let cancellation = Interruption.cancellation()
    let meter = ProgressMeter()
    defer { meter.finish() }
    var report = try restorer.run(cancellation: cancellation) { meter.update($0) }
    guard start else { return (report, nil) }
    var options = ServerStart.Options()
    options.port = port
    do {
      try restorer.start(options, into: &report, cancellation: cancellation) { meter.update($0) }
    } catch {
      return (report, error)
    }
    return (report, nil)
  }

  private func restoreOptions(
    _ target: RecoveryTarget, asOf: Timestamp?, workers: Int
  ) throws -> RestoreOptions {
    guard let programs = FilePath.ownDirectory() else {
      throw UsageError("could not find the directory of backupctl", detail: "/proc/self/exe cannot be read.")
    }
    let fetch = FetchCommand(
      executable: programs + "/backupd-wal", configuration: shared.configurationPath, store: store, asOf: asOf,
      credentialFiles: try shared.credentialFiles())
    guard access(fetch.executable, X_OK) == 0 else { throw FetchProgramMissing(path: fetch.executable) }
    var options = RestoreOptions(cluster: cluster, directory: FilePath.absolute(directory), fetch: fetch)
    options.backup = backup
    options.target = target
    options.timeline = timeline
    options.action = targetAction
    options.role = asPrimary ? .primary : .separate
    options.tablespaces = Dictionary(tablespace.map { ($0.old, $0.new) }, uniquingKeysWith: { $1 })
    options.walDirectory = walDirectory.map(FilePath.absolute)
    options.configurationDirectory = configurationDirectory.map(FilePath.absolute)
    options.owner = owner
    options.workers = workers
    return options
  }

  /// Two servers that archive into one place or use one slot ruin each other: a person is asked before that.
  private func confirm() throws {
    guard asPrimary, !yes, Output.isTerminal(STDIN_FILENO), Output.isTerminal(STDERR_FILENO) else { return }
    ErrorOutput.write(
      "With --as-primary the restored server archives and replicates as the original did. Is the original stopped "
        + "for good? [y/N] ", terminator: "")
    guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
      throw UsageError("not restored", detail: "The question was not answered with \"y\".")
    }
  }

  private static func timeline(_ text: String) throws -> TimelineID {
    guard let number = UInt32(text), number > 0 else {
      throw FormatError.invalid(what: "timeline", text: text, expected: "a number from 1 on")
    }
    return TimelineID(number)
  }

  private static func tablespace(_ text: String) throws -> (old: String, new: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, parts.allSatisfy({ $0.hasPrefix("/") }) else {
      throw FormatError.invalid(what: "tablespace", text: text, expected: "two absolute paths, as OLD=NEW")
    }
    return (parts[0], parts[1])
  }
}

/// The program that a restored server would call for WAL is not there.
struct FetchProgramMissing: OperatorError {
  var path: String
  var summary: String { "could not find \"\(path)\"" }
  var detail: String? { "The restored server calls it for each WAL segment." }
  var hint: String? { "Install backupd-wal in the directory of backupctl." }
}
