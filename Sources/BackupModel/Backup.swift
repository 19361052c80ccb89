/// Physical (the files of a cluster) or logical (a dump).
public enum BackupKind: String, Sendable, Hashable, Codable { case physical, logical }

/// One backup as lists show it: the keys of `backupctl backups --json`.
public struct Backup: Sendable, Hashable, Codable {
  public var id: BackupID
  public var cluster: ClusterID
  public var kind: BackupKind
  /// The job that took it; nil where it was asked for without one.
  public var job: JobID?
  public var started: Timestamp
  public var finished: Timestamp
  public var startLSN: LSN
  public var stopLSN: LSN
  public var timeline: TimelineID
  public var systemIdentifier: SystemIdentifier
  /// Order within the lineage.
  public var sequence: UInt64
  /// Size of the restored files.
  public var totalBytes: ByteCount
  /// Bytes of pages that were not in the parent, before compression.
  public var newBytes: ByteCount
  /// Bytes this backup added to each store, all objects together.
  public var storedBytes: ByteCount
  public var parent: BackupID?
  public var stores: [StoreID]
  public var missingStores: [StoreID]
  /// Of a logical backup: what it is a dump of, and the server's clock at its snapshot, whose LSN is ``startLSN``.
  public var database: String?
  public var snapshot: Timestamp?
  /// When it was deleted; nil for one that is not. It can be undeleted for a day.
  public var deleted: Timestamp?

  public init(
    id: BackupID, cluster: ClusterID, kind: BackupKind, job: JobID?, started: Timestamp, finished: Timestamp,
    startLSN: LSN, stopLSN: LSN, timeline: TimelineID, systemIdentifier: SystemIdentifier, sequence: UInt64,
    totalBytes: ByteCount, newBytes: ByteCount, storedBytes: ByteCount, parent: BackupID?, stores: [StoreID],
    missingStores: [StoreID]
  ) {
    self.id = id
    self.cluster = cluster
    self.kind = kind
    self.job = job
    self.started = started
    self.finished = finished
    self.startLSN = startLSN
    self.stopLSN = stopLSN
    self.timeline = timeline
    self.systemIdentifier = systemIdentifier
    self.sequence = sequence
    self.totalBytes = totalBytes
    self.newBytes = newBytes
    self.storedBytes = storedBytes
    self.parent = parent
    self.stores = stores
    self.missingStores = missingStores
  }
}
