internal import BackupModel
internal import BlockingWork
internal import Storage

/// What one store's manifests and checkpoints refer to, collected anew each time it is asked for.
struct StoreReferences {
  /// Packs and metadata packs, parts of manifests among them.
  private(set) var packs: Set<PackID> = []
  private(set) var headers: [ManifestHeader] = []

  /// - Throws: ``RetentionError`` where something cannot be read: what it needs is not known then.
  init(_ repository: Repository, _ lineage: Lineage, in store: RepositoryStore, cancellation: Cancellation) throws {
    for object in try store.objects.list(below: lineage.backupsPrefix).objects {
      guard let id = try? BackupID(object.name.lastComponent) else { continue }
      try cancellation.check()
      do {
        try add(try BackupReader(repository, lineage, id))
      } catch {
        throw RetentionError.manifestUnreadable(id, store.id, cause: ErrorReport(error))
      }
    }
    for object in try store.objects.list(below: lineage.checkpointsPrefix).objects {
      guard let checkpoint = RunCheckpoint(component: object.name.lastComponent) else { continue }
      try cancellation.check()
      do {
        let reader = try BackupReader(repository, lineage, checkpoint: checkpoint)
        packs.formUnion(try reader.livePacks().map(\.pack))
        packs.formUnion(reader.header.parts)
      } catch {
        // One that its run removed meanwhile refers to nothing any more.
        if try store.objects.size(of: object.name) == nil { continue }
        throw RetentionError.checkpointUnreadable(object.name.text, store.id, cause: ErrorReport(error))
      }
    }
    headers.sort { $0.sequence < $1.sequence }
  }

  private mutating func add(_ reader: BackupReader) throws {
    packs.formUnion(try reader.livePacks().map(\.pack))
    packs.formUnion(reader.header.parts)
    headers.append(reader.header)
  }
}
