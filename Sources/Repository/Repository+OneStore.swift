public import BackupModel

extension Repository {
  /// The same repository as one of its stores alone holds it; nil where there is no such store.
  public func only(_ id: StoreID) -> Repository? {
    stores.first { $0.id == id }.map { Repository(id: self.id, keys: keys, stores: [$0]) }
  }
}
