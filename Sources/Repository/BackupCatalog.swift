public import BackupModel
import Foundation
internal import Storage

/// Lists backups and opens them.
public struct BackupCatalog: Sendable {
  public let repository: Repository
  public init(_ repository: Repository) { self.repository = repository }

  /// A manifest that is there and cannot be read.
  public struct Damage: Sendable {
    public var backup: BackupID
    public var cluster: ClusterID
    public var report: ErrorReport
  }

  /// Backups of a cluster (of all, where nil), oldest first: by lineage, then sequence number.
  ///
  /// A damaged neighbour does not hide the others: what cannot be read is returned beside them.
  public func list(_ cluster: ClusterID? = nil) throws -> (backups: [Backup], damaged: [Damage]) {
    var backups: [Backup] = []
    var damaged: [Damage] = []
    for cluster in try cluster.map({ [$0] }) ?? repository.clusters() {
      for lineage in try repository.lineages(of: cluster) {
        let (found, broken) = try list(lineage)
        backups += found
        damaged += broken
      }
    }
    return (backups, damaged)
  }

  /// Backups of one lineage by sequence number.
  /// - Parameter known: Manifests read before: none ever changes, so they are not read again.
  public func list(
    _ lineage: Lineage, known: [BackupID: Backup] = [:]
  ) throws -> (backups: [Backup], damaged: [Damage]) {
    var holders: [BackupID: [StoreID]] = [:]
    let listings = try repository.listings(below: lineage.backupsPrefix)
    for (store, listing) in listings {
      for object in listing.objects {
        guard let id = try? BackupID(object.name.lastComponent) else { continue }
        holders[id, default: []].append(store.id)
      }
    }
    let deletions = try Deletions(repository, lineage)
    var backups: [Backup] = []
    var damaged: [Damage] = []
    for (id, stores) in holders {
      do {
        // Of a store that does not answer nobody knows.
        let missing = listings.map(\.store.id).filter { !stores.contains($0) }
        var backup = try known[id] ?? readHeader(of: id, lineage).backup(stores: stores, missingStores: missing)
        (backup.stores, backup.missingStores) = (stores, missing)
        backup.deleted = deletions.tombstone(of: id)?.at
        backups.append(backup)
      } catch {
        damaged.append(Damage(backup: id, cluster: lineage.cluster, report: ErrorReport(error)))
      }
    }
    // Made while a store was away, two may have one number.
    return (backups.sorted { ($0.sequence, $0.id) < ($1.sequence, $1.id) }, damaged.sorted { $0.backup < $1.backup })
  }

  /// The newest backup id of a lineage and the highest sequence number, both nil where there is none.
  ///
  /// An id far ahead of the clock counts only where its manifest opens, because the clock was set back: otherwise whoever
  /// can write to a store could put a last id there, which none can follow.
  public func newest(_ lineage: Lineage, now: Timestamp = .now()) throws -> (id: BackupID, sequence: UInt64)? {
    var ids: Set<BackupID> = []
    for (_, listing) in try repository.listings(below: lineage.backupsPrefix) {
      for object in listing.objects {
        if let id = try? BackupID(object.name.lastComponent) { ids.insert(id) }
      }
    }
    // Ids rise with sequence numbers; a damaged newest manifest leaves the one before it and its own place.
    var newest: BackupID?
    var skipped: UInt64 = 0
    for id in ids.sorted().reversed() {
      if let header = try? readHeader(of: id, lineage) { return (newest ?? id, header.sequence + skipped) }
      if id.isFarAhead(of: now) { continue }
      newest = newest ?? id
      skipped += 1
    }
    return newest.map { ($0, skipped) }
  }

  public func readHeader(of id: BackupID, _ lineage: Lineage) throws -> ManifestHeader {
    try repository.firstAnswer(for: lineage.manifest(id)) { store in
      try Self.readHeader(of: id, lineage, in: store, keys: repository.keys)
    }
  }

  static func readHeader(
    of id: BackupID, _ lineage: Lineage, in store: RepositoryStore, keys: KeyRing
  ) throws -> ManifestHeader {
    let reader = try SealedObjectReader(.manifest, lineage.manifest(id), in: store, keys: keys)
    return try decodeHeader(reader, id, lineage)
  }

  static func decodeHeader(
    _ reader: SealedObjectReader, _ id: BackupID, _ lineage: Lineage
  ) throws -> ManifestHeader {
    let json = try reader.readJoined(.header)
    guard !json.isEmpty else {
      throw RepositoryError.damaged(reader.name, in: reader.store, reason: "It has no header.")
    }
    let header: ManifestHeader
    do {
      let format = try JSONDecoder().decode(ManifestFormat.self, from: Data(json)).format
      guard format == ManifestHeader.formatVersion else {
        throw RepositoryError.formatUnknown(
          reader.name.text, reader.store, found: format, known: ManifestHeader.formatVersion)
      }
      header = try JSONDecoder().decode(ManifestHeader.self, from: Data(json))
    } catch let error where !(error is RepositoryError) {
      throw RepositoryError.damaged(reader.name, in: reader.store, reason: "Its header is not as expected: \(error)")
    }
    guard header.id == id, header.cluster == lineage.cluster, header.systemIdentifier == lineage.systemIdentifier
    else {
      throw RepositoryError.damaged(reader.name, in: reader.store, reason: "It is the manifest of another backup.")
    }
    return header
  }

  /// Finds a backup by id.
  /// - Throws: ``RepositoryError/backupMissing(_:of:)``.
  public func open(_ id: BackupID, of cluster: ClusterID? = nil) throws -> BackupReader {
    for cluster in try cluster.map({ [$0] }) ?? repository.clusters() {
      for lineage in try repository.lineages(of: cluster) {
        let name = lineage.manifest(id)
        do {
          try repository.firstAnswer(for: name) { store in
            if try store.objects.size(of: name) == nil { throw StorageError.missing(name, in: store.objects.location) }
          }
        } catch let error as StorageError where error.isMissing {
          continue
        }
        return try BackupReader(repository, lineage, id)
      }
    }
    throw RepositoryError.backupMissing(id, of: cluster)
  }
}

/// Read before the rest of a header: another version may have any form.
private struct ManifestFormat: Decodable { var format: Int }
