import BackupModel
import DaemonConfiguration
import Repository

/// A cluster as an operator names it.
enum ClusterChoice {
  /// Refuses a name that neither the configuration nor the repository knows: a misspelt name must not look like a
  /// cluster without backups.
  static func check(_ cluster: ClusterID, _ configuration: Configuration, _ repository: Repository) throws {
    if configuration.cluster(cluster) != nil { return }
    let stored = try repository.clusters()
    if stored.contains(cluster) { return }
    let known = Set(stored).union(configuration.clusters.map(\.id)).sorted()
    throw UsageError(
      "there is no cluster \"\(cluster)\"",
      detail: known.isEmpty ? nil : "Known are \(known.map { "\"\($0)\"" }.joined(separator: ", ")).")
  }
}
