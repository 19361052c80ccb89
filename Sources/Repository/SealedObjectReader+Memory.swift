public import BackupModel
internal import BlockingWork
public import Storage

extension SealedObjectReader {
  /// Opens an object that was read whole.
  /// - Parameter store: Where it was read, for messages.
  /// - Throws: As opening it there does.
  public convenience init(
    _ kind: ObjectKind, _ name: ObjectName, bytes: [UInt8], from store: StoreID, keys: KeyRing
  ) throws {
    let memory = RepositoryStore(id: store, objects: SingleObject(name: name, bytes: bytes))
    try self.init(kind, name, in: memory, keys: keys)
  }
}

/// One object in memory, to be opened as if it lay in a store.
private struct SingleObject: ObjectStore {
  let name: ObjectName
  let bytes: [UInt8]
  var location: String { "memory" }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    throw StorageError.alreadyExists(name, in: location)
  }
  func size(of name: ObjectName) throws -> Int64? { name == self.name ? Int64(bytes.count) : nil }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    let end = Int(offset) + buffer.count
    guard end <= bytes.count else {
      throw StorageError.truncated(name, in: location, expected: Int64(end), found: Int64(bytes.count))
    }
    bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<end])) }
  }
  func list(below prefix: String) throws -> Listing { Listing() }
  func delete(_ name: ObjectName) throws {}
}
