internal import BackupModel
internal import Transfer

/// One version of an object.
struct S3Version: Sendable {
  var id: String
  var size: Int64
  var modified: Timestamp
  var storageClass: StorageClass?
  var query: [(name: String, value: String)] { [("versionId", id)] }
}

/// A page of a listing of versions.
struct S3VersionPage {
  struct Entry {
    var key: String
    /// Nil for a marker that says deleted.
    var version: S3Version?
    var modified: Timestamp
    /// Whether it is what is read where nobody asks for versions.
    var isLatest: Bool
  }

  /// By key, for each the newest first.
  var entries: [Entry]
  var prefixes: [String]

  /// Whether no more of a key can follow: keys come in order, and those that begin with it after it.
  func isPast(_ key: String) -> Bool { entries.last.map { $0.key != key } ?? true }

  init(_ root: XMLElement) {
    // Some servers list markers after versions. Within a second the server's order counts, and what it calls latest.
    entries = root.children.compactMap(Entry.init).enumerated().sorted { one, other in
      let (a, b) = (one.element, other.element)
      if a.key != b.key { return a.key.utf8.lexicographicallyPrecedes(b.key.utf8) }
      if a.modified != b.modified { return a.modified > b.modified }
      if a.isLatest != b.isLatest { return a.isLatest }
      return one.offset < other.offset
    }.map(\.element)
    prefixes = root.children("CommonPrefixes").compactMap { $0.child("Prefix")?.text }
  }

  /// Where the next page begins.
  struct Marker: Hashable {
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
  static func isPage(_ root: XMLElement, after seen: Set<Marker>) -> Bool {
    guard root.name == "ListVersionsResult" else { return false }
    let next = Marker(after: root)
    let isNew = next.map { !seen.contains($0) } ?? false
    if root.child("IsTruncated")?.text == "true", !isNew { return false }
    return root.children.allSatisfy { !Entry.names.contains($0.name) || Entry($0) != nil }
  }
}

extension S3VersionPage.Entry {
  fileprivate static let names: Set = ["Version", "DeleteMarker"]

  /// Nil for what says nothing of a version.
  fileprivate init?(_ element: XMLElement) {
    guard Self.names.contains(element.name), let key = element.child("Key")?.text,
      let modified = element.child("LastModified").flatMap({ try? Timestamp(rfc3339: $0.text) })
    else { return nil }
    self.key = key
    self.modified = modified
    isLatest = element.child("IsLatest")?.text == "true"
    if element.name == "DeleteMarker" { return }
    guard let id = element.child("VersionId")?.text, let size = element.child("Size").flatMap({ Int64($0.text) })
    else { return nil }
    version = S3Version(
      id: id, size: size, modified: modified,
      storageClass: element.child("StorageClass").map { StorageClass($0.text) })
  }
}

extension S3Store {
  /// - Parameters:
  ///   - start: What the keys begin with.
  ///   - delimited: Whether what lies further down is listed by its prefix alone.
  ///   - body: Says whether to go on.
  func forEachPageOfVersions(of start: String, delimited: Bool, _ body: (S3VersionPage) throws -> Bool) throws {
    var marker: S3VersionPage.Marker?
    var seen: Set<S3VersionPage.Marker> = []
    repeat {
      var call = S3Connection.Call(method: .get, query: [("versions", ""), ("prefix", start)])
      if delimited { call.query.append(("delimiter", "/")) }
      // Of one name a few will do, mostly.
      if let size = settings.pageSize ?? (delimited || marker != nil ? nil : 20) {
        call.query.append(("max-keys", "\(size)"))
      }
      if let marker {
        call.query.append(("key-marker", marker.key))
        if let version = marker.version { call.query.append(("version-id-marker", version)) }
      }
      var root: XMLElement?
      let isAnswer = { (response: HTTPResponse) in
        root = XMLElement.parse(response.body)
        return root.map { S3VersionPage.isPage($0, after: seen) } ?? false
      }
      let response = try send(call, isAnswer: isAnswer)
      guard let root else { throw S3Error(response, bucket: settings.bucket) }
      if try !body(S3VersionPage(root)) { return }
      marker = S3VersionPage.Marker(after: root)
      if let marker { seen.insert(marker) }
    } while marker != nil
  }
}
