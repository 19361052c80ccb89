public import BlockingWork
public import Storage

/// A store before another one that does what is asked of it, but for what the type itself defines.
public protocol ForwardingStore: ObjectStore {
  var base: any ObjectStore { get }
}

extension ForwardingStore {
  public var location: String { base.location }
  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try base.put(name, bytes, cancellation: cancellation)
  }
  public func size(of name: ObjectName) throws -> Int64? { try base.size(of: name) }
  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try base.read(name, at: offset, into: buffer)
  }
  public func list(below prefix: String) throws -> Listing { try base.list(below: prefix) }
  public func delete(_ name: ObjectName) throws { try base.delete(name) }
}
