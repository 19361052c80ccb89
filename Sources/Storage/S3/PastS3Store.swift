public import BackupModel
internal import BlockingWork
internal import Synchronization
internal import Transfer

/// A bucket with versions as it was at a moment: what was deleted or overwritten later is there again, what came later
/// is not. Only for reading.
///
/// - SeeAlso: AWS, "Retaining multiple versions of objects with S3 Versioning"; "ListObjectVersions".
final class PastS3Store: ThawingStore, HTTPStore {
  private struct Version {
    var id: String
    var size: Int64
    var modified: Timestamp
    var storageClass: StorageClass?
    var query: [(name: String, value: String)] { [("versionId", id)] }
  }

  /// What is known of names: nil for one that was not there.
  private final class Known: Sendable {
    private let versions = Mutex<[ObjectName: Version?]>([:])
    func version(of name: ObjectName) -> Version?? { versions.withLock { $0[name] } }
    func note(_ name: ObjectName, _ version: Version?) { versions.withLock { $0[name] = .some(version) } }
  }

  private let store: S3Store
  private let moment: Timestamp
  private let known: Known

  var location: String { "\(store.location) as of \(moment)" }
  var prefix: String { store.prefix }
  var counters: TransferCounters? { store.counters }
  var parallelism: Int { store.parallelism }
  var once: any ObjectStore { PastS3Store(store.trying(total: .zero), moment, known) }

  private init(_ store: S3Store, _ moment: Timestamp, _ known: Known) {
    self.store = store
    self.moment = moment
    self.known = known
  }

  convenience init(_ store: S3Store, _ moment: Timestamp) { self.init(store, moment, Known()) }

  // MARK: Reading

  func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let start = start(below: prefix)
      var listing = Listing()
      try forEachPage(of: start, delimited: true) { page in
        take(page.newest, into: &listing)
        listing.addPrefixes(page.prefixes, after: start)
        return true
      }
      return listing.arranged(below: prefix)
    }
  }

  private func take(_ newest: [(key: String, version: Version?)], into listing: inout Listing) {
    for (key, version) in newest {
      guard let name = name(ofKey: key) else { continue }
      known.note(name, version)
      guard let version else { continue }
      listing.objects.append(
        .init(name: name, size: version.size, modified: version.modified, storageClass: version.storageClass))
    }
  }

  func size(of name: ObjectName) throws -> Int64? {
    try calling("look for", name) { try version(of: name)?.size }
  }

  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try read(name, at: offset, into: buffer) { range in
      try store.get(name, present(name).query, range, at: offset, into: buffer)
    }
  }

  func thawState(of name: ObjectName) throws -> ThawState {
    try calling("look for", name) {
      let version = try present(name)
      let call = S3Connection.Call(method: .head, key: key(name.text), query: version.query, accepted: [404])
      let response = try store.send(call)
      // Somebody took the version away for good.
      guard response.isSuccess else { throw StorageError.missing(name, in: location) }
      return S3Store.thawState(response)
    }
  }

  func thaw(_ name: ObjectName, days: Int, tier: ThawTier) throws {
    try calling("thaw", name) { try store.thaw(name, present(name).query, days: days, tier: tier) }
  }

  private func present(_ name: ObjectName) throws -> Version {
    guard let version = try version(of: name) else { throw StorageError.missing(name, in: location) }
    return version
  }

  private func version(of name: ObjectName) throws -> Version? {
    if let known = known.version(of: name) { return known }
    let key = key(name.text)
    var found: Version?
    // Keys come in order, so those of this very name come first.
    try forEachPage(of: key, delimited: false) { page in
      guard let first = page.newest.first, first.key == key else { return !page.isPast(key) }
      found = first.version
      return false
    }
    known.note(name, found)
    return found
  }

  // MARK: Versions

  private struct Page {
    /// For each key whose first version is not younger than the moment: the newest of them, nil where it says deleted.
    var newest: [(key: String, version: Version?)]
    var prefixes: [String]
    var lastKey: String?
    /// Whether no more of a key can follow.
    func isPast(_ key: String) -> Bool { lastKey.map { $0 != key } ?? true }
  }

  /// Where the next page begins.
  private struct Marker: Hashable {
    var key: String
    var version: String?

    /// Nil for the last page.
    init?(after root: XMLElement) {
      guard let key = root.child("NextKeyMarker")?.text, root.child("IsTruncated")?.text == "true" else { return nil }
      self.key = key
      version = root.child("NextVersionIdMarker")?.text
    }
  }

  /// See ``S3Store/isPage(_:after:)``.
  private static func isPage(_ root: XMLElement, after seen: Set<Marker>) -> Bool {
    guard root.name == "ListVersionsResult" else { return false }
    let next = Marker(after: root)
    let isNew = next.map { !seen.contains($0) } ?? false
    if root.child("IsTruncated")?.text == "true", !isNew { return false }
    return root.children.allSatisfy { !Entry.names.contains($0.name) || Entry($0) != nil }
  }

  /// - Parameter body: Says whether to go on.
  private func forEachPage(of start: String, delimited: Bool, _ body: (Page) throws -> Bool) throws {
    var marker: Marker?
    var seen: Set<Marker> = []
    // What is known already of a key whose versions go on in the next page.
    var settled: String?
    repeat {
      var call = S3Connection.Call(method: .get, query: [("versions", ""), ("prefix", start)])
      if delimited { call.query.append(("delimiter", "/")) }
      // Of one name a few will do.
      if let size = store.settings.pageSize ?? (delimited ? nil : 20) { call.query.append(("max-keys", "\(size)")) }
      if let marker {
        call.query.append(("key-marker", marker.key))
        if let version = marker.version { call.query.append(("version-id-marker", version)) }
      }
      var root: XMLElement?
      let isAnswer = { (response: HTTPResponse) in
        root = XMLElement.parse(response.body)
        return root.map { Self.isPage($0, after: seen) } ?? false
      }
      let response = try store.send(call, isAnswer: isAnswer)
      guard let root else { throw S3Error(response, bucket: store.settings.bucket) }
      if try !body(page(root, &settled)) { return }
      marker = Marker(after: root)
      if let marker { seen.insert(marker) }
    } while marker != nil
  }

  private struct Entry {
    var key: String
    /// Nil for a marker that says deleted.
    var version: Version?
    var modified: Timestamp
    var isLatest: Bool

    static let names: Set = ["Version", "DeleteMarker"]

    /// Nil for what says nothing of a version.
    init?(_ element: XMLElement) {
      guard Self.names.contains(element.name), let key = element.child("Key")?.text,
        let modified = element.child("LastModified").flatMap({ try? Timestamp(rfc3339: $0.text) })
      else { return nil }
      self.key = key
      self.modified = modified
      isLatest = element.child("IsLatest")?.text == "true"
      if element.name == "DeleteMarker" { return }
      guard let id = element.child("VersionId")?.text, let size = element.child("Size").flatMap({ Int64($0.text) })
      else { return nil }
      version = Version(
        id: id, size: size, modified: modified,
        storageClass: element.child("StorageClass").map { StorageClass($0.text) })
    }
  }

  /// - Parameter settled: The key that the page before ended with, where its newest version was in there.
  private func page(_ root: XMLElement, _ settled: inout String?) -> Page {
    // Some servers list markers after versions. Within a second the server's order counts, and what it calls latest.
    let ordered = root.children.compactMap(Entry.init).enumerated().sorted { one, other in
      let (a, b) = (one.element, other.element)
      if a.key != b.key { return a.key.utf8.lexicographicallyPrecedes(b.key.utf8) }
      if a.modified != b.modified { return a.modified > b.modified }
      if a.isLatest != b.isLatest { return a.isLatest }
      return one.offset < other.offset
    }.map(\.element)
    var newest: [(key: String, version: Version?)] = []
    for entry in ordered where entry.modified <= moment && entry.key != settled {
      newest.append((entry.key, entry.version))
      settled = entry.key
    }
    return Page(
      newest: newest, prefixes: root.children("CommonPrefixes").compactMap { $0.child("Prefix")?.text },
      lastKey: ordered.last?.key)
  }

  // MARK: What the past does not take

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    throw refusal("write", name)
  }
  func delete(_ name: ObjectName) throws { throw refusal("delete", name) }
  private func refusal(_ action: String, _ name: ObjectName) -> StorageError {
    .failed(
      action, name, in: location, cause: ErrorReport(summary: "what is past can only be read"), retry: .useless)
  }
}

extension S3Store {
  public func asOf(_ moment: Timestamp) throws -> any ObjectStore {
    let status = try calling("ask for the versioning of", nil) {
      try setting("versioning", absent: [405, 501])?.child("Status")?.text
    }
    // Of one that is suspended what was there before is still there.
    guard status == "Enabled" || status == "Suspended" else {
      throw StorageError.pastUnknown(in: location, reason: "The versioning of its bucket is off.")
    }
    return PastS3Store(self, moment)
  }
}
