internal import BackupModel
public import BlockingWork
internal import Cryptography
internal import Foundation
internal import Synchronization
public import Transfer

/// A store in a bucket of Amazon S3 or of another server with its protocol.
///
/// Objects are put whole, with their SHA-256 signed, and never over another: by `If-None-Match` where the server heeds
/// it, which the first put finds out; elsewhere by looking first, one writer at a time for each name.
public final class S3Store: ObjectStore, HTTPStore {
  public let settings: S3Settings
  let connection: S3Connection
  private let retries: RetrySchedule

  public var location: String { "s3://\(settings.bucket)" + (settings.prefix.isEmpty ? "" : "/" + settings.prefix) }
  public var counters: TransferCounters? { connection.client.counters }
  public var parallelism: Int { connection.client.connections }
  var prefix: String { settings.prefix }

  /// - Parameters:
  ///   - pruneCredentials: What deletions are signed with; nil takes `credentials`.
  ///   - options: How connections behave.
  ///   - retries: How long a request is made again.
  public init(
    _ settings: S3Settings, credentials: AWSCredentials, pruneCredentials: AWSCredentials? = nil,
    options: HTTPClient.Options = HTTPClient.Options(), retries: RetrySchedule = RetrySchedule()
  ) {
    self.settings = settings
    self.retries = retries
    connection = S3Connection(settings, credentials, prune: pruneCredentials, options)
  }

  private init(_ other: S3Store, retries: RetrySchedule) {
    settings = other.settings
    self.retries = retries
    connection = other.connection
  }

  public var once: any ObjectStore { trying(total: .zero) }

  /// The same, each call tried again for so long.
  func trying(total: Duration) -> S3Store { S3Store(self, retries: RetrySchedule(total: total)) }

  func send(
    _ call: S3Connection.Call, _ cancellation: Cancellation = Cancellation(), again: () -> Void = {},
    isAnswer: (HTTPResponse) -> Bool = { _ in true }
  ) throws -> HTTPResponse {
    try connection.send(call, retries, cancellation, again: again, isAnswer: isAnswer)
  }

  // MARK: Writing

  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try calling("write", name) {
      let isConditional = try isConditional(cancellation)
      // One writer of ours at a time: not every server that heeds conditions does so for two at once.
      try connection.names.holding(name.text) {
        // Without conditions two processes could still meet; but names that matter are drawn at random, or their content
        // compared.
        if !isConditional, try head(name) != nil { throw StorageError.alreadyExists(name, in: location) }
        try put(name.text, bytes, conditional: isConditional, cancellation, as: name)
      }
    }
  }

  /// Whether the server refuses to put over an object where it is asked to.
  func isConditional(_ cancellation: Cancellation) throws -> Bool {
    if let known = connection.heedsConditions.withLock({ $0 }) { return known }
    let probe = Array("A put of this object with If-None-Match was heeded where it has only one version.\n".utf8)
    let heeds = try probe.withUnsafeBytes { bytes in
      for _ in 0..<2 {
        let call = try putCall("tmp/conditional-put", bytes, hash: SHA256Digest.hash(probe), conditional: true)
        if try send(call, cancellation).status == 412 { return true }
      }
      return false
    }
    connection.heedsConditions.withLock { $0 = heeds }
    return heeds
  }

  private func putCall(
    _ name: String, _ bytes: UnsafeRawBufferPointer, hash: [UInt8], conditional: Bool, lockedUntil end: Timestamp? = nil
  ) throws -> S3Connection.Call {
    let text = BytesText.hexadecimal(hash)
    var call = S3Connection.Call(method: .put, key: key(name), body: bytes, payloadHash: text)
    // By it a put whose answer was lost is known again.
    call.headers = try [("x-amz-meta-sha256", text)] + lockHeaders(bytes, until: end)
    if conditional {
      call.headers.append(("If-None-Match", "*"))
      call.accepted = [412]
    }
    if let kind = isPack(name) ? settings.packClass : settings.otherClass {
      call.headers.append(("x-amz-storage-class", kind))
    }
    return call
  }

  private func put(
    _ text: String, _ bytes: UnsafeRawBufferPointer, conditional: Bool, _ cancellation: Cancellation,
    as name: ObjectName
  ) throws {
    let hash = try SHA256Digest.hash(pieces: [bytes])
    let lockEnd = lockEnd(name)
    let call = try putCall(text, bytes, hash: hash, conditional: conditional, lockedUntil: lockEnd)
    var wasRepeated = false
    let response = try send(
      call, cancellation, again: { wasRepeated = true }, isAnswer: { $0.headers["etag"] != nil })
    if response.status == 412 {
      // An attempt before this one may have stored it, though its answer never came.
      if wasRepeated, try head(name)?.headers["x-amz-meta-sha256"] == BytesText.hexadecimal(hash) { return }
      throw StorageError.alreadyExists(name, in: location)
    }
    // WAL and the rest is not asked for again, and there is much of it.
    if let lockEnd, isPack(text) || text.contains("/metadata/") { connection.knownLocks.note(name, lockEnd) }
  }

  public func delete(_ name: ObjectName) throws {
    try calling("delete", name) {
      do {
        _ = try send(S3Connection.Call(method: .delete, key: key(name.text), accepted: [404]))
      } catch let error as S3Error where error.isDenied {
        throw StorageError.deletionRefused(name, in: location, cause: ErrorReport(error))
      }
    }
    connection.knownLocks.forget([name])
  }

  // MARK: Reading

  func head(_ name: ObjectName) throws -> HTTPResponse? {
    var call = S3Connection.Call(method: .head, key: key(name.text), accepted: [403, 404])
    let response = try send(call)
    if response.isSuccess { return response }
    // Without a body it does not say whether the bucket is there, and one that is gone is no store without objects.
    var byte: UInt8 = 0
    return try withUnsafeMutableBytes(of: &byte) { byte in
      let look = S3Connection.Call(
        method: .get, key: call.key, headers: [("Range", "bytes=0-0")], sink: .memory(byte), accepted: [404, 416])
      if try isMissing(look) { return nil }
      // Somebody may have put it meanwhile.
      call.accepted = []
      return try send(call)
    }
  }

  /// Whether the server says that there is no such object.
  ///
  /// To keys that may list only what lies below a prefix it says 403 of any object that is missing, since the question
  /// for one names no prefix. They may ask for the list of that one name.
  /// - SeeAlso: AWS, "HeadObject", on 403 and 404.
  private func isMissing(_ look: S3Connection.Call) throws -> Bool {
    do {
      return try send(look).status == 404
    } catch let error as S3Error where error.isDenied {
      let query = [("list-type", "2"), ("prefix", look.key), ("max-keys", "1")]
      let response = try send(S3Connection.Call(method: .get, query: query))
      guard let root = XMLElement.parse(response.body), root.name == "ListBucketResult",
        root.child("Contents")?.child("Key")?.text != look.key
      else { throw error }
      return true
    }
  }

  public func size(of name: ObjectName) throws -> Int64? {
    try calling("look for", name) {
      guard let response = try head(name) else { return nil }
      guard let size = response.headers["content-length"].flatMap({ Int64($0) }) else {
        throw S3Error(response, bucket: settings.bucket)
      }
      return size
    }
  }

  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try read(name, at: offset, into: buffer) { range in
      do {
        return try get(name, [], range, at: offset, into: buffer)
      } catch let error as S3Error where error.isDenied {
        if try head(name) == nil { throw StorageError.missing(name, in: location) }
        throw error
      }
    }
  }

  /// The bytes that `range` names of an object, or of the version that `query` does.
  func get(
    _ name: ObjectName, _ query: [(name: String, value: String)], _ range: String, at offset: Int64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws -> HTTPResponse {
    let call = S3Connection.Call(
      method: .get, key: key(name.text), query: query, headers: [("Range", range)], sink: .memory(buffer),
      accepted: [404, 416])
    do {
      return try send(call, isAnswer: { isPart($0, at: offset, of: buffer.count) })
    } catch let error as S3Error where error.code == "InvalidObjectState" {
      throw StorageError.frozen(name, in: location)
    }
  }

  /// One request instead of two, where the server knows ranges that count from the end.
  public func readEnd(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64? {
    if !buffer.isEmpty, let answer = try calling("read", name, { try readSuffix(name, into: buffer) }) { return answer }
    return try readEndBySize(name, into: buffer)
  }

  /// - Returns: Bytes of the object, nil where it is missing; nil where the server does not know such a range.
  private func readSuffix(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64?? {
    // An empty object has no last bytes; some servers say that of one that has fewer than were asked for.
    var call = S3Connection.Call(
      method: .get, key: key(name.text), headers: [("Range", "bytes=-\(buffer.count)")], sink: .memory(buffer),
      accepted: [404, 416])
    call.isRangeVital = false
    do {
      let response = try send(
        call, isAnswer: { $0.headers["content-range"] == nil || suffixSize($0, of: buffer.count) != nil })
      if response.status == 404 { return .some(nil) }
      if let size = suffixSize(response, of: buffer.count) { return size }
      if response.received > 0 { connection.client.addRetry() }
    } catch is S3Connection.RangeIgnored {
      connection.client.addRetry()
    } catch let error as S3Error where error.isDenied {
      if try head(name) == nil { return .some(nil) }
      throw error
    } catch let error as S3Error where error.code == "InvalidObjectState" {
      throw StorageError.frozen(name, in: location)
    }
    return nil
  }

  public func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let start = start(below: prefix)
      var listing = Listing()
      var token: String?
      repeat {
        var call = S3Connection.Call(method: .get)
        call.query = [("list-type", "2"), ("delimiter", "/"), ("prefix", start)]
        if let size = settings.pageSize { call.query.append(("max-keys", "\(size)")) }
        if let token { call.query.append(("continuation-token", token)) }
        var page: XMLElement?
        let isAnswer = { (response: HTTPResponse) in
          page = XMLElement.parse(response.body)
          return page.map { Self.isPage($0, after: token) } ?? false
        }
        let response = try send(call, isAnswer: isAnswer)
        guard let page else { throw S3Error(response, bucket: settings.bucket) }
        take(page, after: start, into: &listing)
        token = Self.next(page)
      } while token != nil
      return listing.arranged(below: prefix)
    }
  }

  private static func next(_ page: XMLElement) -> String? {
    page.child("IsTruncated")?.text == "true" ? page.child("NextContinuationToken")?.text : nil
  }

  /// Told that there is more and not how to get it, or of an object not how large it is, a part would pass for the whole;
  /// and a page that leads to itself would never end.
  static func isPage(_ page: XMLElement, after token: String?) -> Bool {
    guard page.name == "ListBucketResult" else { return false }
    if page.child("IsTruncated")?.text == "true", next(page) == nil || next(page) == token { return false }
    return page.children("Contents").allSatisfy {
      $0.child("Key") != nil && $0.child("Size").flatMap { Int64($0.text) } != nil
    }
  }

  func take(_ root: XMLElement, after start: String, into listing: inout Listing) {
    for element in root.children("Contents") {
      guard let key = element.child("Key")?.text, key.hasPrefix(start), key.utf8.count > start.utf8.count,
        let size = element.child("Size").flatMap({ Int64($0.text) })
      else { continue }
      guard let name = name(ofKey: key) else { continue }
      let modified = element.child("LastModified").flatMap { try? Timestamp(rfc3339: $0.text) }
      listing.objects.append(
        .init(
          name: name, size: size, modified: modified,
          storageClass: element.child("StorageClass").map { StorageClass($0.text) }))
    }
    listing.addPrefixes(root.children("CommonPrefixes").compactMap { $0.child("Prefix")?.text }, after: start)
  }
}
