public import BackupModel
public import BlockingWork
internal import DurableFiles
internal import Storage

#if canImport(Glibc)
  import Glibc
#endif

/// The fingerprint caches of one cluster: the one in use, the one a run writes, and one made of a checkpoint.
public struct FingerprintCaches: Sendable {
  let repository: Repository
  let lineage: Lineage
  /// `<state directory>/fingerprints/<cluster>`.
  let directory: String

  public init(_ repository: Repository, _ lineage: Lineage, directory: String) {
    self.repository = repository
    self.lineage = lineage
    self.directory = directory
  }

  var current: String { directory + "/current" }
  /// Complete before the manifest is published, renamed after: a crash in between leaves it to be found.
  var next: String { directory + "/next" }
  var overlay: String { directory + "/checkpoint" }

  /// The cache of a backup.
  /// - Throws: ``FingerprintCacheError``.
  func open(_ parent: BackupID) throws -> FingerprintCache {
    if DurableFile.exists(next), let cache = try? FingerprintCache(opening: next), isOurs(cache, parent) {
      try publish()
    }
    let cache = try FingerprintCache(opening: current)
    guard isOurs(cache, parent) else {
      let found = cache.description
      throw FingerprintCacheError.ofAnother(
        current,
        what: found.repository == repository.id && found.systemIdentifier == lineage.systemIdentifier
          ? "It describes backup \(found.backup); the newest complete backup is \(parent)."
          : "It describes system identifier \(found.systemIdentifier) in repository \(found.repository); this is \(lineage.systemIdentifier) in \(repository.id)."
      )
    }
    return cache
  }

  private func isOurs(_ cache: FingerprintCache, _ parent: BackupID) -> Bool {
    let found = cache.description
    return found.repository == repository.id && found.cluster == lineage.cluster
      && found.systemIdentifier == lineage.systemIdentifier && found.backup == parent
  }

  /// What a run wrote becomes the cache in use.
  func publish() throws {
    guard rename(next, current) == 0 else { throw FileError.last("rename into place", current) }
    try DurableFile.syncDirectory(of: current)
  }

  func discard() {
    unlink(next)
    unlink(current)
  }

  /// Makes the cache of the newest complete backup anew from the tables of its packs.
  ///
  /// Blocks; call it on a lane. The cache in use stays until the new one is complete.
  /// - Returns: The backup it describes; nil where the lineage has none.
  /// - Throws: What reading the packs does: one that is missing or damaged leaves its pages unknown and is no error.
  public func rebuild(
    cancellation: Cancellation, observe: @escaping (RunProgress) -> Void = { _ in }
  ) throws -> BackupID? {
    guard let parent = try BackupCatalog(repository).parentCandidate(lineage) else { return nil }
    let reader = try BackupReader(repository, lineage, parent)
    let builder = try FingerprintCacheBuilder(repository, lineage, path: directory + "/rebuilt")
    try builder.add(reader, cancellation: cancellation, observe: observe)
    try builder.finish(parent, changed: reader.header.pagesChanged)
    // Never in place of a newer one.
    guard try BackupCatalog(repository).parentCandidate(lineage) == parent else {
      unlink(directory + "/rebuilt")
      throw FingerprintCacheError.overtaken(parent)
    }
    guard rename(directory + "/rebuilt", current) == 0 else { throw FileError.last("rename into place", current) }
    try DurableFile.syncDirectory(of: current)
    return parent
  }

  /// A run's parent: the newest complete backup, with a newer checkpoint laid over it.
  ///
  /// - Parameter anew: Store every page; only what an interrupted run of that kind stored is taken over.
  /// - Returns: What can be taken over, and why it is less than it could be.
  /// - Throws: `StorageError` where a store does not answer; `CancellationError`.
  public func parent(
    anew: Bool, cancellation: Cancellation
  ) throws -> (pages: ParentPages?, warnings: [ErrorReport]) {
    var warnings: [ErrorReport] = []
    let newest = try BackupCatalog(repository).parentCandidate(lineage)
    var base: FingerprintCache?
    if let newest, !anew {
      do {
        base = try open(newest)
      } catch let error as FingerprintCacheError {
        warnings.append(Self.storesEverything(error))
      }
    }
    var over: FingerprintCache?
    do {
      over = try openCheckpoint(after: newest, anew: anew, cancellation)
    } catch let error where !(error is CancellationError) {
      let report = ErrorReport(error)
      warnings.append(
        ErrorReport(
          summary: "could not take over what the interrupted run stored", detail: report.description, hint: nil))
    }
    guard base != nil || over != nil else { return (nil, warnings) }
    return (ParentPages(base: base, over: over, holdings: try StoreHoldings(repository, lineage)), warnings)
  }

  private static func storesEverything(_ error: FingerprintCacheError) -> ErrorReport {
    ErrorReport(
      summary: "every page is stored anew: \(error.summary)", detail: error.detail,
      hint: "This happens once. \"backupctl repository rebuild-cache\" makes the cache from the repository.")
  }

  private func openCheckpoint(
    after newest: BackupID?, anew: Bool, _ cancellation: Cancellation
  ) throws -> FingerprintCache? {
    let all = try RunCheckpoint.list(repository, lineage)
    guard let last = all.last?.backup, newest.map({ last > $0 }) ?? true else { return nil }
    let builder = try FingerprintCacheBuilder(repository, lineage, path: overlay)
    // Later ones know more of a file than earlier ones.
    for checkpoint in all.filter({ $0.backup == last }).reversed() {
      try cancellation.check()
      let reader = try BackupReader(repository, lineage, checkpoint: checkpoint)
      if anew, reader.header.parent != nil { return nil }
      try builder.add(reader, cancellation: cancellation)
    }
    try builder.finish(last, changed: 0)
    let cache = try FingerprintCache(opening: overlay)
    // Open, and nobody else's: it goes when the run ends, however that is.
    unlink(overlay)
    return cache
  }
}
