public import BackupModel

/// A bucket of Google's with versions as it was at a moment: what was deleted or overwritten later is there again, what came
/// later is not. Only for reading.
///
/// - SeeAlso: Google, "Cloud Storage: Object Versioning"; "JSON API: Objects: list", `versions`.
final class PastGCSStore: PastStore {
  private struct Version {
    var generation: Int64
    var size: Int64
    var created: Timestamp
    /// Since when it is not the object; nil for one that still is.
    var deleted: Timestamp?
    var storageClass: StorageClass?

    /// Nil for what does not tell all that is needed.
    init?(_ object: GCSObject) {
      guard let generation = object.generation,
        let created = object.timeCreated.flatMap({ try? Timestamp(rfc3339: $0) })
      else { return nil }
      if let text = object.timeDeleted {
        guard let deleted = try? Timestamp(rfc3339: text) else { return nil }
        self.deleted = deleted
      }
      self.generation = generation
      self.created = created
      size = object.size
      storageClass = object.storageClass.map { StorageClass($0) }
    }

    func isThere(at moment: Timestamp) -> Bool { created <= moment && deleted.map { moment < $0 } ?? true }
  }

  let store: GCSStore
  let moment: Timestamp
  private let known: PastVersions<Version>

  var once: any ObjectStore { PastGCSStore(store.trying(total: .zero), moment, known) }

  private init(_ store: GCSStore, _ moment: Timestamp, _ known: PastVersions<Version>) {
    self.store = store
    self.moment = moment
    self.known = known
  }

  convenience init(_ store: GCSStore, _ moment: Timestamp) { self.init(store, moment, PastVersions()) }

  /// For one version of one object.
  private convenience init(_ store: GCSStore, _ name: ObjectName, _ version: Version) {
    self.init(store, version.created)
    known.note(name, version)
  }

  /// See ``ObjectStore/hiddenVersions(of:)``.
  static func hidden(_ name: ObjectName, in store: GCSStore) throws -> [PastGCSStore] {
    let key = store.key(name.text)
    var found: [Version] = []
    var pages = 0
    let asking = store.trying(total: HiddenVersionLimits.patience)
    try PastGCSStore(asking, .now()).forEachPage(of: key, delimited: false) { page in
      let items = page.items ?? []
      found += items.filter { $0.name == key }.compactMap(Version.init).filter { $0.deleted != nil }
      pages += 1
      return items.allSatisfy { $0.name == key } && pages < HiddenVersionLimits.pages
    }
    let oldest = found.sorted { $0.generation < $1.generation }.prefix(HiddenVersionLimits.versions)
    return oldest.map { PastGCSStore(store, name, $0) }
  }

  // MARK: Reading

  func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let start = start(below: prefix)
      var listing = Listing()
      var found: [ObjectName: Version] = [:]
      try forEachPage(of: start, delimited: true) { page in
        for item in page.items ?? [] where item.name.hasPrefix(start) && item.name.utf8.count > start.utf8.count {
          guard let name = name(ofKey: item.name) else { continue }
          found[name] = newest(Version(item), found[name])
        }
        listing.addPrefixes(page.prefixes ?? [], after: start)
        return true
      }
      for (name, version) in found {
        known.note(name, version)
        listing.objects.append(
          .init(name: name, size: version.size, modified: version.created, storageClass: version.storageClass))
      }
      return listing.arranged(below: prefix)
    }
  }

  func size(of name: ObjectName) throws -> Int64? {
    try calling("look for", name) { try version(of: name)?.size }
  }

  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try read(name, at: offset, into: buffer) { range in
      guard let version = try version(of: name) else { throw StorageError.missing(name, in: location) }
      return try store.get(name, [("generation", "\(version.generation)")], range, at: offset, into: buffer)
    }
  }

  private func version(of name: ObjectName) throws -> Version? {
    if let known = known.version(of: name) { return known }
    let key = key(name.text)
    var found: Version?
    // Names come in order, so those of this very name come first.
    try forEachPage(of: key, delimited: false) { page in
      let items = page.items ?? []
      for item in items where item.name == key { found = newest(Version(item), found) }
      return items.allSatisfy { $0.name == key }
    }
    known.note(name, found)
    return found
  }

  // MARK: Versions

  /// Of two versions of one object the one that was the object: where times leave a doubt, the later.
  private func newest(_ version: Version?, _ other: Version?) -> Version? {
    guard let version, version.isThere(at: moment) else { return other }
    return other.map { $0.generation > version.generation ? $0 : version } ?? version
  }

  /// - Parameter body: Says whether to go on.
  private func forEachPage(of start: String, delimited: Bool, _ body: (GCSListing) throws -> Bool) throws {
    var token: String?
    var seen: Set<String> = []
    repeat {
      var call = GCSConnection.Call(method: .get, url: store.settings.objects())
      call.query = [("versions", "true"), ("prefix", start), ("fields", GCSListing.versionFields)]
      if delimited { call.query.append(("delimiter", "/")) }
      if let size = store.settings.pageSize { call.query.append(("maxResults", "\(size)")) }
      if let token { call.query.append(("pageToken", token)) }
      let page = try store.send(call) { response -> GCSListing? in
        guard let page = GCSDocument.parse(GCSListing.self, response.body),
          (page.items ?? []).allSatisfy({ Version($0) != nil })
        else { return nil }
        // A page that leads to one before it would never end.
        return page.nextPageToken.map(seen.contains) == true ? nil : page
      }
      if try !body(page) { return }
      token = page.nextPageToken
      if let token { seen.insert(token) }
    } while token != nil
  }
}

extension GCSStore {
  public func asOf(_ moment: Timestamp) throws -> any ObjectStore {
    let isVersioned = try calling("ask for the versioning of", nil) { try bucket().isVersioned }
    // What was kept while it was on may be there; but nobody could say what is not.
    guard isVersioned else {
      throw StorageError.pastUnknown(in: location, reason: "The versioning of its bucket is off.")
    }
    return PastGCSStore(self, moment)
  }

  public func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore] {
    try calling("look for versions of", name) { try PastGCSStore.hidden(name, in: self) }
  }
}
