internal import BackupModel
internal import BlockingWork
internal import Synchronization
internal import Transfer

extension ObjectName {
  /// Whether a lock holds it where a store has one: what restores need. What a running daemon, a prune or a probe takes
  /// away again stays free: leases, checkpoints, slices of the open segment, and all small words on backups.
  public var isLocked: Bool {
    let parts = text.split(separator: "/")
    if parts.count == 1 { return parts[0] == "repository.json" }
    if parts[0] == "keys" { return true }
    guard parts[0] == "clusters", parts.count >= 5 else { return false }
    switch parts[3] {
    case "packs", "metadata", "backups": return parts.count == 5
    // Slices lie one level further down.
    case "wal": return parts.count == 5 ? parts[4].hasSuffix(".history") : parts.count == 6
    default: return false
    }
  }
}

extension S3Store {
  public var locks: (any ObjectLocks)? { settings.lock.map { S3Locks(store: self, lock: $0) } }

  /// Headers of a put that locks, and those that the server asks for in a bucket that can.
  /// - SeeAlso: AWS, "PutObject": Content-MD5 is required where a lock is asked for, or is the bucket's default.
  func lockHeaders(
    _ bytes: UnsafeRawBufferPointer, until end: Timestamp?
  ) throws -> [(name: String, value: String)] {
    guard let lock = settings.lock else { return [] }
    let sum = [try Self.contentMD5(bytes)]
    guard let end else { return sum }
    return sum + [
      ("x-amz-object-lock-mode", lock.mode.rawValue.uppercased()),
      ("x-amz-object-lock-retain-until-date", S3Locks.text(end)),
    ]
  }

  /// Until when an object that is put now is locked; nil for one that is not.
  func lockEnd(_ name: ObjectName) -> Timestamp? {
    guard let lock = settings.lock, name.isLocked else { return nil }
    return .now() + lock.period
  }
}

/// The locks of one bucket's objects.
struct S3Locks: ObjectLocks {
  let store: S3Store
  let lock: S3Lock
  var period: Duration { lock.period }
  private var known: KnownLocks { store.connection.knownLocks }

  /// Whole seconds, which is all that a server keeps.
  static func text(_ time: Timestamp) -> String { String(time.description.prefix(19)) + "Z" }

  /// - Note: AWS says it only to keys with the right `s3:GetObjectRetention`.
  func end(of name: ObjectName, after moment: Timestamp) throws -> Timestamp? {
    if let end = known.end(of: name), end > moment { return end }
    return try store.calling("look for the lock of", name) {
      guard let response = try store.head(name) else { throw StorageError.missing(name, in: store.location) }
      let text = response.headers["x-amz-object-lock-retain-until-date"]
      guard let end = text.flatMap({ try? Timestamp(rfc3339: $0) }) else { return nil }
      known.note(name, end)
      return end
    }
  }

  /// - SeeAlso: AWS, "PutObjectRetention".
  func extend(_ name: ObjectName, to end: Timestamp) throws {
    let text = """
      <Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>\(lock.mode.rawValue.uppercased())</Mode>\
      <RetainUntilDate>\(Self.text(end))</RetainUntilDate></Retention>
      """
    try store.calling("lock", name) {
      _ = try store.sendDocument(text, .put, key: store.key(name.text), query: [("retention", "")])
      known.note(name, end)
    }
  }

  func requireUsable() throws {
    try store.calling("ask for the object lock of", nil) {
      let root = try store.setting("object-lock", absent: [400, 404, 405, 501])
      guard root?.child("ObjectLockEnabled")?.text == "Enabled" else {
        throw StorageError.cannotLock(in: store.location, reason: "Its bucket has no object lock.")
      }
    }
  }
}

/// Ends of locks that were heard or set, so that nobody asks again while they last.
final class KnownLocks: Sendable {
  /// About 30 MB of names.
  private static let limit = 200_000
  private let ends = Mutex<[ObjectName: Timestamp]>([:])

  func end(of name: ObjectName) -> Timestamp? { ends.withLock { $0[name] } }

  func note(_ name: ObjectName, _ end: Timestamp) {
    ends.withLock { ends in
      if ends.count >= Self.limit {
        let now = Timestamp.now()
        ends = ends.filter { $0.value > now }
        // They are only asked for again.
        if ends.count >= Self.limit { ends.removeAll() }
      }
      ends[name] = end
    }
  }

  func forget(_ names: [ObjectName]) { ends.withLock { ends in for name in names { ends[name] = nil } } }
}
