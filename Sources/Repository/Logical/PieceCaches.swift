public import BackupModel
internal import DurableFiles
internal import Storage

#if canImport(Glibc)
  import Glibc
#endif

/// Where the pieces of one job's newest backup are remembered.
public struct PieceCaches: Sendable {
  let repository: Repository
  let lineage: Lineage
  let job: JobID?
  private let directory: String

  /// - Parameter directory: Of this job alone; made where it is missing.
  public init(_ repository: Repository, _ lineage: Lineage, job: JobID?, directory: String) throws {
    self.repository = repository
    self.lineage = lineage
    self.job = job
    self.directory = directory
    try DurableFile.makeDirectory(directory)
  }

  private var current: String { directory + "/pieces" }
  var next: String { directory + "/pieces.next" }

  func publish() throws {
    guard rename(next, current) == 0 else { throw FileError.last("rename into place", current) }
    try DurableFile.syncDirectory(of: current)
  }

  /// What the next backup can take over, and why that is less than it could be.
  /// - Throws: `StorageError` where a store does not answer.
  public func parent() throws -> (pieces: ParentPieces?, warnings: [ErrorReport]) {
    do {
      let pieces = try ParentPieces(opening: current, repository, lineage)
      try requireUsable(pieces.parent)
      return (pieces, [])
    } catch let error as FingerprintCacheError {
      // The first backup of a job has no parent, and there is nothing to say about it.
      if case .missing = error, !(try hasBackups()) { return (nil, []) }
      return (
        nil,
        [
          ErrorReport(
            summary: "the whole dump is stored anew: \(error.summary)", detail: error.detail,
            hint: "This happens once: the next dump takes over what this one stored.")
        ]
      )
    }
  }

  /// Its packs must be there to stay: every required store lists it, and nobody has deleted it.
  private func requireUsable(_ backup: BackupID) throws {
    let name = lineage.manifest(backup)
    for store in repository.required where try store.objects.size(of: name) == nil {
      throw FingerprintCacheError.ofAnother(
        current, what: "Backup \(backup), which it describes, is not in store \"\(store.id)\".")
    }
    if try Deletions(repository, lineage).tombstone(of: backup) != nil {
      throw FingerprintCacheError.ofAnother(current, what: "Backup \(backup), which it describes, was deleted.")
    }
  }

  private func hasBackups() throws -> Bool {
    try BackupCatalog(repository).list(lineage).backups.contains { $0.kind == .logical && $0.job == job }
  }
}
