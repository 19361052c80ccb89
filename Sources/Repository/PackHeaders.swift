public import BackupModel
internal import Storage
import Synchronization

/// Opens each pack of a restore once, whichever of its threads comes first, and remembers the headers.
///
/// Frames can be read without a pack's table, but a pack that is damaged anywhere is not trusted.
public final class PackHeaders: Sendable {
  private final class Pack: Sendable {
    let header = Mutex<(store: StoreID, bytes: [UInt8])?>(nil)
  }
  let repository: Repository
  let lineage: Lineage
  private let packs = Mutex<[ObjectName: Pack]>([:])

  public init(_ repository: Repository, _ lineage: Lineage) {
    self.repository = repository
    self.lineage = lineage
  }

  private func entry(_ name: ObjectName) -> Pack {
    packs.withLock { packs in
      if let found = packs[name] { return found }
      let pack = Pack()
      packs[name] = pack
      return pack
    }
  }

  /// Reads a pack's table unless that was done. Who comes second waits for the first.
  /// - Throws: `RepositoryError` or `StorageError` with the pack's name, where no store has it whole.
  public func check(_ pack: PackID) throws {
    let name = lineage.pack(pack)
    try entry(name).header.withLock { header in
      if header != nil { return }
      header = try repository.read(.pack, name, for: .table) { ($0.store, $0.header) }
    }
  }

  /// The header of a pack as a store holds it.
  func header(of name: ObjectName, in store: RepositoryStore) throws -> [UInt8] {
    if let known = entry(name).header.withLock({ $0 }), known.store == store.id { return known.bytes }
    var header = [UInt8](repeating: 0, count: SealedFormat.headerSize)
    try header.withUnsafeMutableBytes { try store.objects.read(name, at: 0, into: $0) }
    return header
  }
}
