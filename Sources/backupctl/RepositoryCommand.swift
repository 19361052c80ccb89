import ArgumentParser
import BackupModel
import DaemonConfiguration
import Repository

struct RepositoryCommand: CommandFamily {
  static let configuration = CommandConfiguration(
    commandName: "repository",
    abstract: "Make, describe and probe the repository, or make its cache anew.",
    example: "backupctl repository info",
    subcommands: [
      RepositoryCreateCommand.self, RepositoryInfoCommand.self, RepositoryProbeCommand.self,
      RepositoryPolicyCommand.self, RebuildCacheCommand.self,
    ])
}

struct RepositoryInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "The repository's stores, clusters, and whom its key is wrapped for.",
    discussion: "Reads the repository itself; the daemon need not run.", example: "backupctl repository info")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let configuration = try shared.loadConfiguration()
    let settings = configuration.repository
    let repository = try shared.openRepository(configuration)
    let info = RepositoryInfo(
      repository: repository, settings: settings, recipients: try RecipientInfo.all(of: repository, settings),
      clusters: try Self.clusters(repository))
    for one in repository.keys.unopened {
      ErrorOutput.warn(
        "\"\(one.envelope)\" does not open: \(one.cause.summary)",
        hint: "What is sealed with its key cannot be read. Where nothing is, somebody else put it into a store.")
    }
    shared.show(info.json) { info.text }
  }

  private static func clusters(_ repository: Repository) throws -> [RepositoryInfo.Cluster] {
    let catalog = BackupCatalog(repository)
    return try repository.clusters().flatMap { cluster in
      try repository.lineages(of: cluster).map { lineage in
        let (backups, damaged) = try catalog.list(lineage)
        return RepositoryInfo.Cluster(
          name: cluster, systemIdentifier: lineage.systemIdentifier, backups: backups.count,
          unreadableBackups: damaged.count, storedBytes: backups.reduce(ByteCount(0)) { $0 + $1.storedBytes },
          oldest: backups.first?.id, newest: backups.last?.id)
      }
    }
  }
}

/// What `repository info` tells.
struct RepositoryInfo: JSONConvertible {
  struct Cluster: JSONConvertible {
    var name: ClusterID
    var systemIdentifier: SystemIdentifier
    var backups: Int
    /// Manifests that are there and cannot be read.
    var unreadableBackups: Int
    /// What the backups added, WAL not counted.
    var storedBytes: ByteCount
    var oldest: BackupID?
    var newest: BackupID?

    var json: JSONValue {
      .fields([
        "name": name, "systemIdentifier": systemIdentifier, "backups": backups,
        "unreadableBackups": unreadableBackups, "storedBytes": storedBytes, "oldest": oldest, "newest": newest,
      ])
    }
  }

  var repository: Repository
  var settings: RepositorySettings
  var recipients: [RecipientInfo]
  var clusters: [Cluster]

  var json: JSONValue {
    let stores = settings.stores.map { store in
      JSONValue.fields([
        "name": store.id, "path": store.path, "location": store.place.description,
        "durability": store.durability.rawValue,
      ])
    }
    return .fields([
      "repository": repository.id, "encryption": settings.encryption.kind,
      "keyFile": settings.encryption.keyFiles.first, "keyID": repository.keys.current.id, "recipients": recipients,
      "stores": stores, "clusters": clusters,
    ])
  }

  var text: String {
    var lines = ["repository \(repository.id)".styled(.strong)]
    lines += recipients.map { "  \($0.text)" }
    lines += settings.stores.map { "  store \($0.id) in \($0.place)" }
    if clusters.isEmpty { lines.append("  no backups yet") }
    for cluster in clusters {
      let count = "\(cluster.backups) backup\(cluster.backups == 1 ? "" : "s")"
      lines.append("  cluster \(cluster.name) (\(cluster.systemIdentifier)): \(count), \(cluster.storedBytes)")
      if cluster.unreadableBackups > 0 {
        lines.append(
          "    " + "\(cluster.unreadableBackups) cannot be read".styled(.bad) + ": run \"backupctl backups\"")
      }
    }
    return lines.joined(separator: "\n")
  }
}
