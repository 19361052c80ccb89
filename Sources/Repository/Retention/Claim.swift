public import BackupModel
public import BlockingWork
internal import Storage

/// A job's word that a backup of another job is also its own: `claims/<backup-id>-<job>`.
///
/// A run that was due before the backup of another began takes that backup over instead of making the same again. The
/// backup then stays for as long as either job keeps it.
struct Claim: Sendable, Hashable, Codable {
  var format = 1
  var backup: BackupID
  var job: JobID
  var at: Timestamp
}

/// Whose a lineage's backups are besides the jobs that made them.
struct Claims {
  private(set) var jobs: [BackupID: Set<JobID>] = [:]

  /// By name alone: a claim that cannot be read keeps all the same.
  init(_ repository: Repository, _ lineage: Lineage) throws {
    for store in repository.stores {
      for object in try Self.claims(store, lineage) {
        guard let (backup, job) = Self.parse(object.name.lastComponent) else { continue }
        jobs[backup, default: []].insert(job)
      }
    }
  }

  /// Of a store that lags nobody waits; of a required one a claim that is not seen would let a backup go.
  private static func claims(_ store: RepositoryStore, _ lineage: Lineage) throws -> [Listing.Object] {
    do {
      return try store.objects.list(below: lineage.claimsPrefix).objects
    } catch let error as StorageError {
      if store.durability == .required { throw error }
      return []
    }
  }

  static func parse(_ component: String) -> (backup: BackupID, job: JobID)? {
    let length = BackupID.length
    guard component.utf8.count > length + 1, component.dropFirst(length).first == "-",
      let backup = try? BackupID(String(component.prefix(length))),
      let job = try? JobID(String(component.dropFirst(length + 1)))
    else { return nil }
    return (backup, job)
  }
}

extension BackupCatalog {
  /// Makes a backup count as a job's own, in every store that has it. May be said more than once.
  /// - Throws: ``RepositoryError/backupMissing(_:of:)``, ``RetentionError/deleted(_:at:)``, `StorageError`.
  public func claim(_ id: BackupID, for job: JobID, cancellation: Cancellation) throws {
    let lineage = try lineage(of: id)
    try refuseDeleted(id, lineage)
    let claim = Claim(backup: id, job: job, at: .now())
    for store in repository.stores where try store.objects.size(of: lineage.manifest(id)) != nil {
      do {
        try repository.putDocument(claim, lineage.claim(id, job), in: store, cancellation: cancellation)
      } catch StorageError.alreadyExists {
        continue
      }
    }
  }
}
