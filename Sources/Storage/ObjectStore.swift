public import BackupModel
public import BlockingWork
public import Transfer

/// A place that holds objects. Calls block and are made on lanes.
///
/// What callers rely on:
/// - An object is there completely or not at all, and never changes.
/// - `put` is durable on return and never overwrites: a name that is taken throws ``StorageError/alreadyExists(_:in:)``.
/// - `read` and `list` see every `put` that has returned.
/// - `delete` of a missing object succeeds. Every call may be repeated.
public protocol ObjectStore: Sendable {
  /// Where it is, for messages: a path, a bucket.
  var location: String { get }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws
  /// Bytes of the object; nil where it is missing.
  func size(of name: ObjectName) throws -> Int64?
  /// When an object was written, where ``Listing/Object/modified`` does not tell. Nil is "not known", and never "long ago".
  func modified(of name: ObjectName) throws -> Timestamp?
  /// Fills the whole buffer from `offset`.
  /// - Throws: ``StorageError/missing(_:in:)``, ``StorageError/truncated(_:in:expected:found:)``.
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws
  /// Fills the buffer with the object's end; with all of one that is shorter, from the buffer's beginning.
  /// - Returns: Bytes of the object; nil where it is missing.
  func readEnd(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64?
  /// Objects directly below a prefix, and the prefixes there, sorted by name.
  func list(below prefix: String) throws -> Listing
  func delete(_ name: ObjectName) throws
  /// Deletes several objects; those that are missing are fine.
  /// - Throws: `StorageError` with the first that could not be deleted; the others may be gone.
  func delete(_ names: [ObjectName]) throws
  /// The same store, each call tried once: for who can ask another one.
  var once: any ObjectStore { get }
  /// Calls at once that it answers well: a server across a network many, since each waits most of its time.
  var parallelism: Int { get }
  /// What was asked of a server so far; nil for a store that asks none.
  var counters: TransferCounters? { get }
  /// What keeps objects here from being deleted or changed by anybody; nil where nothing does.
  var locks: (any ObjectLocks)? { get }
  /// The store as it was at a moment, for reading only.
  /// - Throws: ``StorageError/pastUnknown(in:reason:)`` for a store that keeps nothing of what was deleted.
  func asOf(_ moment: Timestamp) throws -> any ObjectStore
  /// What lies under an object that was put over it, or under the mark that it was deleted: the oldest versions, that one
  /// first which was put first, each as a store to read this object from. Empty for a store that keeps none.
  func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore]
}

/// The locks of a store's objects: until one ends nobody can delete what it holds, with whatever rights.
///
/// Which objects are locked when they are put is the store's affair, see ``ObjectName/isLocked``.
public protocol ObjectLocks: Sendable {
  /// How long an object is locked that is put now.
  var period: Duration { get }
  /// When an object's lock ends; nil for one that has none.
  /// - Parameter moment: An end after this that was heard before is answered from memory: locks are never shortened.
  /// - Throws: ``StorageError/missing(_:in:)``.
  func end(of name: ObjectName, after moment: Timestamp) throws -> Timestamp?
  /// Locks an object for longer.
  func extend(_ name: ObjectName, to end: Timestamp) throws
  /// - Throws: ``StorageError/cannotLock(in:reason:)`` where objects cannot be locked there.
  func requireUsable() throws
}

/// What lies directly below a prefix.
public struct Listing: Sendable {
  public struct Object: Sendable, Hashable {
    public var name: ObjectName
    public var size: Int64
    /// When it was written, by the store's clock; nil where the store's listings do not tell.
    public var modified: Timestamp?
    /// As the store calls it; nil where it has no classes.
    public var storageClass: StorageClass?
    public init(name: ObjectName, size: Int64, modified: Timestamp? = nil, storageClass: StorageClass? = nil) {
      self.name = name
      self.size = size
      self.modified = modified
      self.storageClass = storageClass
    }
  }
  public var objects: [Object]
  /// Last components of the prefixes one level down.
  public var prefixes: [String]
  public init(objects: [Object] = [], prefixes: [String] = []) {
    self.objects = objects
    self.prefixes = prefixes
  }
}

extension ObjectStore {
  public var counters: TransferCounters? { nil }
  public var parallelism: Int { 1 }
  public var locks: (any ObjectLocks)? { nil }
  public func asOf(_ moment: Timestamp) throws -> any ObjectStore {
    throw StorageError.pastUnknown(in: location, reason: "Only a bucket with versions does.")
  }
  public func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore] { [] }
  public var once: any ObjectStore { self }
  public func modified(of name: ObjectName) throws -> Timestamp? { nil }
  public func delete(_ names: [ObjectName]) throws { for name in names { try delete(name) } }

  public func readEnd(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64? {
    try readEndBySize(name, into: buffer)
  }

  /// In two requests: for the size, then for what lies before it.
  func readEndBySize(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64? {
    guard let size = try size(of: name) else { return nil }
    let count = min(buffer.count, Int(clamping: size))
    try read(name, at: size - Int64(count), into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    return size
  }

  /// The whole object.
  /// - Parameter limit: Larger ones are refused.
  public func readAll(_ name: ObjectName, limit: Int64 = 64 << 20) throws -> [UInt8] {
    // Most that are read so are documents of a few hundred bytes.
    var end = [UInt8](repeating: 0, count: 16 << 10)
    let found = try end.withUnsafeMutableBytes { try readEnd(name, into: $0) }
    guard let size = found else { throw StorageError.missing(name, in: location) }
    guard size <= limit else {
      throw StorageError.truncated(name, in: location, expected: limit, found: size)
    }
    if size <= Int64(end.count) { return Array(end[..<Int(size)]) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    try bytes.withUnsafeMutableBytes { bytes in
      let front = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(bytes.count - end.count)])
      try read(name, at: 0, into: front)
      bytes[front.count...].copyBytes(from: end)
    }
    return bytes
  }
}
