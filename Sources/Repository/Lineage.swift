public import BackupModel
public import Storage

/// One system identifier of a cluster, and the names of its objects: `clusters/<cluster>/<system-identifier>/…`.
public struct Lineage: Sendable, Hashable, CustomStringConvertible {
  public let cluster: ClusterID
  public let systemIdentifier: SystemIdentifier

  public init(cluster: ClusterID, systemIdentifier: SystemIdentifier) {
    self.cluster = cluster
    self.systemIdentifier = systemIdentifier
  }

  public var description: String { "\(cluster)/\(systemIdentifier)" }
  public var prefix: String { "clusters/\(cluster)/\(systemIdentifier)" }
  public var backupsPrefix: String { prefix + "/backups" }
  public var walPrefix: String { prefix + "/wal" }
  public var gapsPrefix: String { prefix + "/gaps" }

  public var packsPrefix: String { prefix + "/packs" }
  public var metadataPrefix: String { prefix + "/metadata" }
  public var damagePrefix: String { prefix + "/damage" }
  public var checkpointsPrefix: String { prefix + "/checkpoints" }

  /// `checkpoints/<backup-id>-<n>`, `n` from 1.
  public func checkpoint(_ id: BackupID, _ number: Int) -> ObjectName {
    ObjectName(composed: "\(checkpointsPrefix)/\(id)-\(number)")
  }
  public var tombstonesPrefix: String { prefix + "/tombstones" }
  public var leasesPrefix: String { prefix + "/leases" }

  public var acceptancesPrefix: String { prefix + "/acceptances" }

  /// `acceptances/<n>`, `n` from 1.
  func acceptance(_ number: Int) -> ObjectName { ObjectName(composed: "\(acceptancesPrefix)/\(number)") }

  public var claimsPrefix: String { prefix + "/claims" }

  /// `claims/<backup-id>-<job>`.
  func claim(_ id: BackupID, _ job: JobID) -> ObjectName { ObjectName(composed: "\(claimsPrefix)/\(id)-\(job)") }
  /// `tombstones/<backup-id>-<n>`, `n` from 1.
  func tombstone(_ id: BackupID, _ number: Int) -> ObjectName {
    ObjectName(composed: "\(tombstonesPrefix)/\(id)-\(number)")
  }
  /// `leases/<holder>/<n>`, `n` from 1.
  func lease(_ holder: RandomID, _ number: Int) -> ObjectName {
    ObjectName(composed: "\(leasesPrefix)/\(holder)/\(number)")
  }
  func damageMark(_ id: PackID) -> ObjectName { ObjectName(composed: "\(damagePrefix)/\(id)") }
  public func pack(_ id: PackID) -> ObjectName { ObjectName(composed: "\(prefix)/packs/\(id)") }
  public func metadataPack(_ id: PackID) -> ObjectName { ObjectName(composed: "\(prefix)/metadata/\(id)") }
  public func manifest(_ id: BackupID) -> ObjectName { ObjectName(composed: "\(backupsPrefix)/\(id)") }
  public func gap(_ id: RandomID) -> ObjectName { ObjectName(composed: "\(gapsPrefix)/\(id)") }

  /// `wal/<timeline>/<segment>`.
  public func walSegment(_ segment: WALSegment, size: WALSegmentSize) -> ObjectName {
    ObjectName(composed: "\(walPrefix)/\(segment.timeline.fileText)/\(segment.name(size: size))")
  }
  /// `wal/<timeline>/<segment>.partial`, below which the slices lie.
  public func walSlicesPrefix(_ segment: WALSegment, size: WALSegmentSize) -> String {
    "\(walPrefix)/\(segment.timeline.fileText)/\(segment.name(size: size)).partial"
  }
  /// `wal/<timeline>/<segment>.partial/<first>-<end>`: positions as 16 hexadecimal digits.
  public func walSlice(_ segment: WALSegment, from first: LSN, to end: LSN, size: WALSegmentSize) -> ObjectName {
    func digits(_ lsn: LSN) -> String { Hexadecimal.padded(lsn.value, digits: 16, uppercase: true) }
    return ObjectName(composed: "\(walSlicesPrefix(segment, size: size))/\(digits(first))-\(digits(end))")
  }
  /// `wal/<timeline>.history`.
  public func history(_ timeline: TimelineID) -> ObjectName {
    ObjectName(composed: "\(walPrefix)/\(timeline.historyFileName)")
  }
}
