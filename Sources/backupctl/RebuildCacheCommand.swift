import ArgumentParser
import BackupModel
import BlockingWork
import DaemonConfiguration
import DurableFiles
import Repository

struct RebuildCacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rebuild-cache",
    abstract: "Make the fingerprints of the newest backup anew from the repository.",
    discussion: """
      Backups compare pages with these fingerprints, which lie below the daemon's state directory. Where they were lost, \
      as on a new host, the next backup would store every page. Reads the tables of the packs, not the pages; the daemon \
      may run.
      """, example: "backupctl repository rebuild-cache")

  @Option(help: "Only this cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    guard DurableFile.exists(settings.daemon.stateDirectory) else {
      throw UsageError(
        "there is no state directory \"\(settings.daemon.stateDirectory)\"",
        detail: "The fingerprint cache lies in it.", hint: "Start the daemon once, which makes it as its own user.")
    }
    let repository = try shared.openRepository(settings)
    if let cluster { try ClusterChoice.check(cluster, settings, repository) }
    let cancellation = Interruption.cancellation()
    var rebuilt: [Rebuilt] = []
    for cluster in cluster.map({ [$0] }) ?? settings.clusters.map(\.id) {
      // The newest lineage is the one the daemon goes on with.
      guard let lineage = try Self.newestLineage(of: cluster, repository) else { continue }
      let backup = try rebuild(lineage, repository, settings.daemon.stateDirectory, cancellation)
      if let backup { rebuilt.append(Rebuilt(cluster: cluster, backup: backup)) }
    }
    shared.show(rebuilt.json) {
      rebuilt.isEmpty
        ? "there are no backups to make a cache of"
        : rebuilt.map { "made the cache of \($0.cluster) anew from backup \($0.backup)" }.joined(separator: "\n")
    }
  }

  private static func newestLineage(of cluster: ClusterID, _ repository: Repository) throws -> Lineage? {
    let catalog = BackupCatalog(repository)
    return try repository.lineages(of: cluster).last { try catalog.newest($0) != nil }
  }

  private func rebuild(
    _ lineage: Lineage, _ repository: Repository, _ stateDirectory: String, _ cancellation: Cancellation
  ) throws -> BackupID? {
    let owner = FileOwner.isRoot ? FileOwner(of: MadePaths.nearestExisting(stateDirectory)) : nil
    let all = stateDirectory + "/fingerprints"
    let directory = all + "/\(lineage.cluster)"
    let isNew = !DurableFile.exists(all)
    try DurableFile.makeDirectory(directory)
    let meter = ProgressMeter()
    defer { meter.finish() }
    let backup = try FingerprintCaches(repository, lineage, directory: directory).rebuild(cancellation: cancellation) {
      meter.update($0)
    }
    if let owner { try MadePaths.giveTree(isNew ? all : directory, to: owner) }
    return backup
  }
}

/// A cache that was made anew.
private struct Rebuilt: JSONConvertible {
  var cluster: ClusterID
  var backup: BackupID
  var json: JSONValue { .fields(["cluster": cluster, "backup": backup]) }
}
