internal import BackupModel
public import BlockingWork
internal import Foundation
public import Transfer

/// A store in a bucket of Google Cloud Storage, by its JSON API.
///
/// Objects are put whole, with their MD5 for the server to check, and never over another: by `ifGenerationMatch=0`.
public final class GCSStore: ObjectStore, HTTPStore {
  public let settings: GCSSettings
  let connection: GCSConnection
  private let retries: RetrySchedule

  public var location: String { "gs://\(settings.bucket)" + (settings.prefix.isEmpty ? "" : "/" + settings.prefix) }
  public var counters: TransferCounters? { connection.client.counters }
  public var parallelism: Int { connection.client.connections }
  var prefix: String { settings.prefix }

  /// - Parameters:
  ///   - options: How connections behave.
  ///   - retries: How long a request is made again.
  public init(
    _ settings: GCSSettings, credentials: GCPCredentials, options: HTTPClient.Options = HTTPClient.Options(),
    retries: RetrySchedule = RetrySchedule()
  ) {
    self.settings = settings
    self.retries = retries
    connection = GCSConnection(settings, credentials, options)
  }

  private init(_ other: GCSStore, retries: RetrySchedule) {
    settings = other.settings
    self.retries = retries
    connection = other.connection
  }

  public var once: any ObjectStore { trying(total: .zero) }

  /// The same, each call tried again for so long.
  func trying(total: Duration) -> GCSStore { GCSStore(self, retries: RetrySchedule(total: total)) }

  func send<Answer>(_ call: GCSConnection.Call, _ read: (HTTPResponse) -> Answer?) throws -> Answer {
    try connection.send(call, retries, Cancellation(), read)
  }

  /// - Throws: ``GCSError``: whoever may use the objects need not be let see it.
  func bucket() throws -> GCSBucket {
    let call = GCSConnection.Call(method: .get, url: settings.document, query: [("fields", GCSBucket.fields)])
    return try send(call) { GCSDocument.parse(GCSBucket.self, $0.body) }
  }

  // MARK: Writing

  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try calling("write", name) {
      let kind = isPack(name.text) ? settings.packClass : settings.otherClass
      let upload = try GCSUpload(key(name.text), bytes, storageClass: kind)
      var wasRepeated = false
      let isStored = try upload.withBody(bytes) { body in
        try connection.send(call(upload, body), retries, cancellation, again: { wasRepeated = true }) { response in
          response.status == 412 ? false : Self.isWhole(upload, response)
        }
      }
      if isStored { return }
      // An attempt before this one may have stored it, though its answer never came.
      if wasRepeated, try object(name)?.metadata?["sha256"] == upload.hash { return }
      throw StorageError.alreadyExists(name, in: location)
    }
  }

  private func call(_ upload: GCSUpload, _ body: [UnsafeRawBufferPointer]) -> GCSConnection.Call {
    GCSConnection.Call(
      method: .post, url: settings.uploads, query: [("uploadType", "multipart"), ("ifGenerationMatch", "0")],
      headers: [("Content-Type", upload.contentType)], body: body, accepted: [412])
  }

  /// True where the server says it has what was sent; nil for an answer that says something else.
  private static func isWhole(_ upload: GCSUpload, _ response: HTTPResponse) -> Bool? {
    guard let object = GCSDocument.parse(GCSObject.self, response.body), object.size == upload.count,
      object.md5Hash ?? upload.sum == upload.sum
    else { return nil }
    return true
  }

  public func delete(_ name: ObjectName) throws {
    try calling("delete", name) {
      let call = GCSConnection.Call(method: .delete, url: settings.objects(key(name.text)), accepted: [404])
      try send(call) { response in
        // A success that says of itself that it is none.
        let isRefusal =
          response.isSuccess
          && (response.body.first == UInt8(ascii: "<") || GCSDocument.parse(GCSRefusal.self, response.body) != nil)
        return isRefusal ? nil : ()
      }
    }
  }

  // MARK: Reading

  private func object(_ name: ObjectName) throws -> GCSObject? {
    let call = GCSConnection.Call(
      method: .get, url: settings.objects(key(name.text)), query: [("fields", GCSObject.fields + ",metadata")],
      accepted: [404])
    return try send(call) { response -> GCSObject?? in
      response.status == 404 ? .some(nil) : GCSDocument.parse(GCSObject.self, response.body).map { .some($0) }
    }
  }

  public func size(of name: ObjectName) throws -> Int64? {
    try calling("look for", name) { try object(name)?.size }
  }

  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try read(name, at: offset, into: buffer) { try get(name, [], $0, at: offset, into: buffer) }
  }

  /// The bytes that `range` names of an object, or of the version that `query` does.
  func get(
    _ name: ObjectName, _ query: [(name: String, value: String)], _ range: String, at offset: Int64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws -> HTTPResponse {
    let call = GCSConnection.Call(
      method: .get, url: settings.objects(key(name.text)), query: [("alt", "media")] + query,
      headers: [("Range", range)], sink: .memory(buffer), accepted: [404, 416])
    return try send(call) { isPart($0, at: offset, of: buffer.count) ? $0 : nil }
  }

  public func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let start = start(below: prefix)
      var listing = Listing()
      var token: String?
      repeat {
        let page = try page(of: start, token)
        take(page, after: start, into: &listing)
        token = page.nextPageToken
      } while token != nil
      return listing.arranged(below: prefix)
    }
  }

  private func page(of start: String, _ token: String?) throws -> GCSListing {
    var call = GCSConnection.Call(method: .get, url: settings.objects())
    call.query = [("delimiter", "/"), ("prefix", start), ("fields", GCSListing.fields)]
    if let size = settings.pageSize { call.query.append(("maxResults", "\(size)")) }
    if let token { call.query.append(("pageToken", token)) }
    return try send(call) { response in
      guard let page = GCSDocument.parse(GCSListing.self, response.body) else { return nil }
      // A page that leads to itself would never end.
      return page.nextPageToken != nil && page.nextPageToken == token ? nil : page
    }
  }

  private func take(_ page: GCSListing, after start: String, into listing: inout Listing) {
    for item in page.items ?? [] where item.name.hasPrefix(start) && item.name.utf8.count > start.utf8.count {
      guard let name = name(ofKey: item.name) else { continue }
      let modified = item.timeCreated.flatMap { try? Timestamp(rfc3339: $0) }
      listing.objects.append(
        .init(name: name, size: item.size, modified: modified, storageClass: item.storageClass.map { StorageClass($0) })
      )
    }
    listing.addPrefixes(page.prefixes ?? [], after: start)
  }
}
