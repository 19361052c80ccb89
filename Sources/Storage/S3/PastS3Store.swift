public import BackupModel
internal import Transfer

/// A bucket with versions as it was at a moment: what was deleted or overwritten later is there again, what came later
/// is not. Only for reading.
///
/// - SeeAlso: AWS, "Retaining multiple versions of objects with S3 Versioning"; "ListObjectVersions".
final class PastS3Store: ThawingStore, PastStore {
  let store: S3Store
  let moment: Timestamp
  private let known: PastVersions<S3Version>

  var once: any ObjectStore { PastS3Store(store.trying(total: .zero), moment, known) }

  private init(_ store: S3Store, _ moment: Timestamp, _ known: PastVersions<S3Version>) {
    self.store = store
    self.moment = moment
    self.known = known
  }

  convenience init(_ store: S3Store, _ moment: Timestamp) { self.init(store, moment, PastVersions()) }

  /// For one version of one object.
  convenience init(_ store: S3Store, _ name: ObjectName, _ version: S3Version) {
    self.init(store, version.modified)
    known.note(name, version)
  }

  // MARK: Reading

  func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let start = start(below: prefix)
      var listing = Listing()
      // What is known already of a key whose versions go on in the next page.
      var settled: String?
      try store.forEachPageOfVersions(of: start, delimited: true) { page in
        for entry in page.entries where entry.modified <= moment && entry.key != settled {
          take(entry, into: &listing)
          settled = entry.key
        }
        listing.addPrefixes(page.prefixes, after: start)
        return true
      }
      return listing.arranged(below: prefix)
    }
  }

  private func take(_ newest: S3VersionPage.Entry, into listing: inout Listing) {
    guard let name = name(ofKey: newest.key) else { return }
    known.note(name, newest.version)
    guard let version = newest.version else { return }
    listing.objects.append(
      .init(name: name, size: version.size, modified: version.modified, storageClass: version.storageClass))
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

  private func present(_ name: ObjectName) throws -> S3Version {
    guard let version = try version(of: name) else { throw StorageError.missing(name, in: location) }
    return version
  }

  private func version(of name: ObjectName) throws -> S3Version? {
    if let known = known.version(of: name) { return known }
    let key = key(name.text)
    var found: S3Version?
    try store.forEachPageOfVersions(of: key, delimited: false) { page in
      guard let first = page.entries.first(where: { $0.modified <= moment }), first.key == key else {
        return !page.isPast(key)
      }
      found = first.version
      return false
    }
    known.note(name, found)
    return found
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

  public func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore] {
    try calling("look for versions of", name) {
      let key = key(name.text)
      var found: [S3Version] = []
      var pages = 0
      try trying(total: HiddenVersionLimits.patience).forEachPageOfVersions(of: key, delimited: false) { page in
        found += page.entries.filter { $0.key == key && !$0.isLatest }.compactMap(\.version)
        pages += 1
        return !page.isPast(key) && pages < HiddenVersionLimits.pages
      }
      // They come newest first.
      return found.suffix(HiddenVersionLimits.versions).reversed().map { PastS3Store(self, name, $0) }
    }
  }
}
