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
public final class S3Store: ObjectStore {
  public let settings: S3Settings
  let connection: S3Connection
  private let retries: RetrySchedule

  public var location: String { "s3://\(settings.bucket)" + (settings.prefix.isEmpty ? "" : "/" + settings.prefix) }
  public var counters: TransferCounters? { connection.client.counters }

  /// - Parameters:
  ///   - options: How connections behave.
  ///   - retries: How long a request is made again.
  public init(
    _ settings: S3Settings, credentials: AWSCredentials, options: HTTPClient.Options = HTTPClient.Options(),
    retries: RetrySchedule = RetrySchedule()
  ) {
    self.settings = settings
    self.retries = retries
    connection = S3Connection(settings, credentials, options)
  }

  private init(_ other: S3Store, retries: RetrySchedule) {
    settings = other.settings
    self.retries = retries
    connection = other.connection
  }

  public var once: any ObjectStore { S3Store(self, retries: RetrySchedule(total: .zero)) }

  func send(
    _ call: S3Connection.Call, _ cancellation: Cancellation = Cancellation(), again: () -> Void = {}
  ) throws -> HTTPResponse {
    try connection.send(call, retries, cancellation, again: again)
  }

  func key(_ name: String) -> String {
    if settings.prefix.isEmpty { return name }
    return name.isEmpty ? settings.prefix : settings.prefix + "/" + name
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
        let call = putCall("tmp/conditional-put", bytes, hash: SHA256Digest.hash(probe), conditional: true)
        if try send(call, cancellation).status == 412 { return true }
      }
      return false
    }
    connection.heedsConditions.withLock { $0 = heeds }
    return heeds
  }

  private func putCall(
    _ name: String, _ bytes: UnsafeRawBufferPointer, hash: [UInt8], conditional: Bool
  ) -> S3Connection.Call {
    let text = BytesText.hexadecimal(hash)
    var call = S3Connection.Call(method: .put, key: key(name), body: bytes, payloadHash: text)
    // By it a put whose answer was lost is known again.
    call.headers = [("x-amz-meta-sha256", text)]
    if conditional {
      call.headers.append(("If-None-Match", "*"))
      call.accepted = [412]
    }
    let isPack = name.split(separator: "/").dropLast().last == "packs"
    if let kind = isPack ? settings.packClass : settings.otherClass {
      call.headers.append(("x-amz-storage-class", kind))
    }
    return call
  }

  private func put(
    _ text: String, _ bytes: UnsafeRawBufferPointer, conditional: Bool, _ cancellation: Cancellation,
    as name: ObjectName
  ) throws {
    let hash = try SHA256Digest.hash(pieces: [bytes])
    let call = putCall(text, bytes, hash: hash, conditional: conditional)
    var wasRepeated = false
    let response = try send(call, cancellation) { wasRepeated = true }
    if response.status == 412 {
      // An attempt before this one may have stored it, though its answer never came.
      if wasRepeated, try head(name)?.headers["x-amz-meta-sha256"] == BytesText.hexadecimal(hash) { return }
      throw StorageError.alreadyExists(name, in: location)
    }
    guard response.headers["etag"] != nil, !Self.isError(response.body) else {
      throw S3Error(response, bucket: settings.bucket)
    }
  }

  /// Some operations answer 200 first and fail later.
  private static func isError(_ body: [UInt8]) -> Bool { !body.isEmpty && XMLElement.parse(body)?.name == "Error" }

  public func delete(_ name: ObjectName) throws {
    try calling("delete", name) {
      _ = try send(S3Connection.Call(method: .delete, key: key(name.text), accepted: [404]))
    }
  }

  // MARK: Reading

  private func head(_ name: ObjectName) throws -> HTTPResponse? {
    let call = S3Connection.Call(method: .head, key: key(name.text), accepted: [404])
    let response = try send(call)
    return response.status == 404 ? nil : response
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
    try calling("read", name) {
      if buffer.isEmpty {
        guard let size = try size(of: name) else { throw StorageError.missing(name, in: location) }
        guard offset <= size else {
          throw StorageError.truncated(name, in: location, expected: offset, found: size)
        }
        return
      }
      let last = offset + Int64(buffer.count) - 1
      let call = S3Connection.Call(
        method: .get, key: key(name.text), headers: [("Range", "bytes=\(offset)-\(last)")], sink: .memory(buffer),
        accepted: [404, 416])
      let response = try send(call)
      if response.status == 404 { throw StorageError.missing(name, in: location) }
      let found = response.status == 416 ? 0 : response.received
      guard found == buffer.count else {
        throw StorageError.truncated(
          name, in: location, expected: last + 1,
          found: response.status == 416 ? try size(of: name) ?? 0 : offset + Int64(found))
      }
    }
  }

  public func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let below = prefix.isEmpty ? settings.prefix : key(prefix)
      let start = below.isEmpty ? "" : below + "/"
      var listing = Listing()
      var token: String?
      repeat {
        var call = S3Connection.Call(method: .get)
        call.query = [("list-type", "2"), ("delimiter", "/"), ("prefix", start)]
        if let size = settings.pageSize { call.query.append(("max-keys", "\(size)")) }
        if let token { call.query.append(("continuation-token", token)) }
        let response = try send(call)
        guard let root = XMLElement.parse(response.body), root.name == "ListBucketResult" else {
          throw S3Error(response, bucket: settings.bucket)
        }
        take(root, after: start, into: &listing)
        let next = root.child("NextContinuationToken")?.text
        token = root.child("IsTruncated")?.text == "true" ? next : nil
        // Told that there is more and not how to get it, a part would pass for the whole.
        if root.child("IsTruncated")?.text == "true", token == nil { throw S3Error(response, bucket: settings.bucket) }
      } while token != nil
      // What is tried out there is none of the repository's.
      if prefix.isEmpty { listing.prefixes.removeAll { $0 == "tmp" } }
      listing.objects.sort { $0.name < $1.name }
      listing.prefixes.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      return listing
    }
  }

  private func take(_ root: XMLElement, after start: String, into listing: inout Listing) {
    for element in root.children("Contents") {
      guard let key = element.child("Key")?.text, key.hasPrefix(start), key.utf8.count > start.utf8.count,
        let size = element.child("Size").flatMap({ Int64($0.text) })
      else { continue }
      let below = settings.prefix.isEmpty ? key : String(key.dropFirst(settings.prefix.count + 1))
      // What is not a name of ours is somebody else's.
      guard let name = ObjectName(below) else { continue }
      let modified = element.child("LastModified").flatMap { try? Timestamp(rfc3339: $0.text) }
      listing.objects.append(.init(name: name, size: size, modified: modified))
    }
    for element in root.children("CommonPrefixes") {
      guard let text = element.child("Prefix")?.text, text.hasPrefix(start), text.hasSuffix("/") else { continue }
      listing.prefixes.append(String(text.dropFirst(start.count).dropLast()))
    }
  }

  /// Says what was wanted of which object.
  func calling<Result>(_ action: String, _ name: ObjectName?, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as StorageError {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      let isLasting = (error as? TransferError)?.isTransient == false || (error as? S3Error)?.isTransient == false
      throw StorageError.failed(
        action, name, in: location, cause: ErrorReport(error), retry: isLasting ? .useless : .mayHelp)
    }
  }
}

/// One writer at a time for each name.
final class NameLocks: Sendable {
  private let held = Mutex<Set<String>>([])
  private let freed = Signal()

  func holding<Result>(_ name: String, _ body: () throws -> Result) throws -> Result {
    _ = try freed.wait(Cancellation()) { held.withLock { $0.insert(name).inserted ? true : nil } }
    defer {
      held.withLock { _ = $0.remove(name) }
      freed.raise()
    }
    return try body()
  }
}
