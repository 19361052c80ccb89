import ArgumentParser
import BackupModel
import BlockingWork
import DaemonConfiguration
import DurableFiles
import Postgres
import Repository
import Systemd

#if canImport(Glibc)
  import Glibc
#endif

struct ClusterCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "cluster", abstract: "Accept a cluster that was upgraded or made anew.",
    example: "backupctl cluster accept main",
    subcommands: [ClusterAcceptCommand.self])
}

struct ClusterAcceptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "accept",
    abstract: "Let the server that the connection leads to be the cluster from now on.",
    discussion: """
      A server with another system identifier is refused, so that a wrong connection never mixes two clusters. After \
      pg_upgrade or initdb the new one is meant: the next backup and the WAL from now on begin a new lineage. Backups of \
      the old one stay as long as their jobs keep them, and can be restored by --backup. The daemon need not run; its WAL \
      job goes on within a minute.
      """, example: "backupctl cluster accept main")

  @Argument(help: "The cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID
  @Option(
    help: ArgumentHelp("Accept this one, without asking the server: what pg_controldata prints.", valueName: "number"),
    transform: parsing { try SystemIdentifier($0) })
  var systemIdentifier: SystemIdentifier?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openRepository(settings)
    try ClusterChoice.check(cluster, settings, repository)
    let cancellation = Interruption.cancellation()
    let found = try systemIdentifier ?? Self.ask(settings, cluster, cancellation)
    let lineage = Lineage(cluster: cluster, systemIdentifier: found)
    let known = try repository.lineages(of: cluster)
    let acceptance = try repository.accept(lineage, cancellation: cancellation)
    if acceptance != nil { try Self.give(lineage, isNew: !known.contains(lineage), settings.repository) }
    let before = known.last?.systemIdentifier
    let document = JSONValue.fields([
      "cluster": cluster, "systemIdentifier": found, "previousSystemIdentifier": before, "accepted": acceptance?.at,
    ])
    shared.show(document) {
      guard acceptance != nil, let before else { return "cluster \(cluster) goes on with \(found): nothing to accept" }
      return "cluster \(cluster) goes on with system identifier \(found); that of its backups so far is \(before)"
    }
  }

  private static func ask(
    _ settings: Configuration, _ cluster: ClusterID, _ cancellation: Cancellation
  ) throws -> SystemIdentifier {
    guard let entry = settings.cluster(cluster) else {
      throw UsageError(
        "cluster \"\(cluster)\" is not in the configuration", detail: "Only the repository knows it.",
        hint: "Name what is meant with --system-identifier.")
    }
    let directory = getenv("CREDENTIALS_DIRECTORY").map { ["CREDENTIALS_DIRECTORY": String(cString: $0)] }
    let credentials = Credentials(environment: directory ?? [:])
    let text = try entry.connectionString { try credentials.read($0) }.revealText()
    let connection = try Connection(text, applicationName: "backupctl", cancellation: cancellation)
    defer { connection.close() }
    return try ServerFacts.read(from: connection).systemIdentifier
  }

  /// The daemon writes into the directories that root makes here.
  private static func give(_ lineage: Lineage, isNew: Bool, _ settings: RepositorySettings) throws {
    guard FileOwner.isRoot else { return }
    for store in settings.stores {
      guard let path = store.path, let owner = FileOwner(of: path) else { continue }
      try MadePaths.giveTree("\(path)/\(isNew ? lineage.prefix : lineage.acceptancesPrefix)", to: owner)
    }
  }
}
