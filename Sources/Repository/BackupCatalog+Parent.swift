public import BackupModel
internal import Storage

extension BackupCatalog {
  /// The backup whose pages the next one takes over: the newest that every required store holds and that can be read.
  /// - Throws: `StorageError` where no required store answers.
  public func parentCandidate(_ lineage: Lineage) throws -> BackupID? {
    var holders: [BackupID: Int] = [:]
    let listings = try repository.listings(below: lineage.backupsPrefix).filter { $0.store.durability == .required }
    for (_, listing) in listings {
      for object in listing.objects {
        if let id = try? BackupID(object.name.lastComponent) { holders[id, default: 0] += 1 }
      }
    }
    let deletions = try Deletions(repository, lineage)
    for id in holders.filter({ $0.value == listings.count }).keys.sorted().reversed() {
      // Its packs may go at any time once a day has passed.
      if deletions.tombstone(of: id) != nil { continue }
      // One that is damaged is passed over; listing shows it.
      if let header = try? readHeader(of: id, lineage), header.kind == .physical { return id }
    }
    return nil
  }
}
