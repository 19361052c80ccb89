import BackupModel
import BlockingWork
import Storage
import Testing

/// A store in a bucket with versions, and what it must hold whatever its protocol is.
struct VersionedBucket {
  let store: any ObjectStore

  init(_ store: any ObjectStore) { self.store = store }

  static func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

  func put(_ text: String, _ content: String) throws {
    let name = try Self.name(text)
    try Array(content.utf8).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
  }

  func text(_ name: String) throws -> String { String(decoding: try store.readAll(Self.name(name)), as: UTF8.self) }

  func texts(below prefix: String) throws -> [String: String] {
    try store.list(below: prefix).objects.reduce(into: [:]) {
      $0[$1.name.text] = try text($1.name.text)
    }
  }

  /// What lies under an object.
  func hidden(_ name: String) throws -> [String] {
    try store.hiddenVersions(of: Self.name(name)).map { try VersionedBucket($0.once).text(name) }
  }

  /// What was put before ``expectPast(_:)``'s moment: each with its name for a content.
  static let names = ["a/1", "a/10", "a/2", "a/b/3", "top"]

  /// After the moment `a/1`, `a/b/3` and `top` were deleted, `a/2` was overwritten, last by "overwritten 6", and `a/1` and
  /// `a/new` were put as "again" and "new".
  func expectPast(_ moment: Timestamp) throws {
    let name = Self.name
    #expect(try texts(below: "a") == ["a/1": "again", "a/10": "a/10", "a/2": "overwritten 6", "a/new": "new"])
    #expect(try store.size(of: name("top")) == nil)
    let past = VersionedBucket(try store.asOf(moment))
    #expect(try past.texts(below: "") == ["top": "top"])
    #expect(try past.store.list(below: "").prefixes == ["a"])
    #expect(try past.texts(below: "a") == ["a/1": "a/1", "a/10": "a/10", "a/2": "a/2"])
    #expect(try VersionedBucket(past.store.once).texts(below: "a/b") == ["a/b/3": "a/b/3"])
    // Without a list before.
    let other = VersionedBucket(try store.asOf(moment))
    #expect(try other.store.size(of: name("a/1")) == 3)
    #expect(try other.text("a/2") == "a/2")
    for text in ["a/new", "a", "never"] { #expect(try other.store.size(of: name(text)) == nil) }
    #expect { try other.text("a/new") } throws: { ($0 as? StorageError)?.isMissing == true }
    let early = try store.asOf(moment - .seconds(3600))
    #expect(try early.list(below: "a").objects.isEmpty && early.size(of: name("top")) == nil)
    #expect(throws: StorageError.self) { try past.put("a/3", "3") }
    #expect(throws: StorageError.self) { try past.store.delete(name("a/1")) }
  }
}
