public import BackupModel
import DurableFiles

/// What the last drills of a cluster measured: the file `recoveries/<cluster>.json`.
extension JobStateStore {
  /// Enough to see whether restores become slower.
  public static let recoveriesKept = 20

  private struct RecoveryList: Codable { var recoveries: [MeasuredRecovery] }

  private func recoveriesPath(_ cluster: ClusterID) -> String { "\(directory)/recoveries/\(cluster).json" }

  /// Oldest first; empty where nothing was measured.
  /// - Throws: ``JobStateError``; a file that cannot be understood has been moved aside then.
  public func recoveries(of cluster: ClusterID, now: Timestamp) throws -> [MeasuredRecovery] {
    try StateFile.read(RecoveryList.self, from: recoveriesPath(cluster), now: now)?.recoveries ?? []
  }

  /// Notes what a drill measured. Durable on return.
  public func record(_ recovery: MeasuredRecovery, of cluster: ClusterID) throws {
    try DurableFile.makeDirectory(directory + "/recoveries")
    let known = try recoveries(of: cluster, now: recovery.at)
    try StateFile.write(
      RecoveryList(recoveries: (known + [recovery]).suffix(Self.recoveriesKept)), to: recoveriesPath(cluster))
  }
}
