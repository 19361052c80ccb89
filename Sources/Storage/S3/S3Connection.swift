internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Foundation
internal import Synchronization
internal import Transfer

/// Signs requests to one bucket, sends them, and sends them again where that can help.
final class S3Connection: Sendable {
  let settings: S3Settings
  let client: HTTPClient
  private let credentials: AWSCredentials
  /// Who deletes, where that is somebody else.
  private let pruneCredentials: AWSCredentials?
  private let signer: SignatureV4
  private let health = ServerHealth()
  /// Whether the server refuses to put over an object where it is asked to; nil until that was tried.
  let heedsConditions = Mutex<Bool?>(nil)
  let names = NameLocks()
  let knownLocks = KnownLocks()

  init(
    _ settings: S3Settings, _ credentials: AWSCredentials, prune: AWSCredentials?, _ options: HTTPClient.Options
  ) {
    self.settings = settings
    self.credentials = credentials
    pruneCredentials = prune
    client = HTTPClient(options)
    signer = SignatureV4(region: settings.region, service: "s3")
  }

  struct Call {
    var method: HTTPRequest.Method
    /// Of the object, with the prefix; empty for the bucket.
    var key = ""
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body: UnsafeRawBufferPointer?
    /// SHA-256 of the body in hexadecimal.
    var payloadHash = S3Connection.emptyHash
    var sink = HTTPSink.collect(limit: 16 << 20)
    /// Statuses that are an answer and not an error.
    var accepted: Set<Int> = []
    /// Whether nothing else can be asked of a server that sends more than the range it was asked for.
    var isRangeVital = true
    var isDeletion: Bool { method == .delete || query.first?.name == "delete" }
  }

  /// What other keys can help against.
  private static let keyRefusals: Set = ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"]
  static let emptyHash = BytesText.hexadecimal(SHA256Digest.hash([]))

  /// - Parameters:
  ///   - again: Told before each further attempt.
  ///   - isAnswer: Whether a response that succeeded is one to what was asked; a broken one counts as a failed attempt.
  /// - Throws: ``S3Error``, ``TransferError``, ``AWSCredentialError``, `CancellationError`.
  func send(
    _ call: Call, _ retries: RetrySchedule, _ cancellation: Cancellation, again: () -> Void = {},
    isAnswer: (HTTPResponse) -> Bool = { _ in true }
  ) throws -> HTTPResponse {
    var isRenewed = false
    func advice(_ error: any Error) -> RetrySchedule.Advice {
      guard let code = (error as? S3Error)?.code, Self.keyRefusals.contains(code), !isRenewed else {
        return RetrySchedule.Advice(error)
      }
      // Keys of a role end; those of the configuration may have been replaced: new ones are worth one attempt.
      isRenewed = true
      credentials.forget()
      pruneCredentials?.forget()
      return .again(after: nil)
    }
    return try health.asking(retries) { retries in
      try retries.run(cancellation, advice: advice) { attempt in
        if attempt > 0 {
          client.addRetry()
          again()
        }
        let response = try heeded(call, cancellation)
        if response.sends > 1 { again() }
        if response.isSuccess, !S3Error.isError(response.body), isAnswer(response) { return response }
        let error = S3Error(response, bucket: settings.bucket)
        if call.accepted.contains(response.status), !error.isBucketMissing { return response }
        throw error
      }
    }
  }

  /// More was sent than the range that was asked for.
  struct RangeIgnored: Error {}

  private func heeded(_ call: Call, _ cancellation: Cancellation) throws -> HTTPResponse {
    do {
      return try once(call, cancellation)
    } catch TransferError.tooLong where !call.isRangeVital {
      throw RangeIgnored()
    }
  }

  private func once(_ call: Call, _ cancellation: Cancellation) throws -> HTTPResponse {
    let (scheme, host) = settings.origin
    let path = settings.path(call.key)
    let request = SignatureV4.Request(
      call.method, host: host, path: path, query: call.query, headers: call.headers, payloadHash: call.payloadHash)
    let signing = call.isDeletion ? pruneCredentials ?? credentials : credentials
    var headers = try signer.sign(request, with: signing.keys(cancellation), at: .now())
    // libcurl would name a form's type.
    if call.method == .put || call.method == .post { headers.append(("Content-Type", "application/octet-stream")) }
    let query = PercentEncoding.query(call.query)
    let url = "\(scheme)://\(host)\(path)" + (query.isEmpty ? "" : "?" + query)
    return try client.send(
      HTTPRequest(call.method, url, headers: headers), body: call.body.map { [$0] } ?? [], into: call.sink,
      cancellation)
  }
}

/// What a server of S3's protocol answered instead of doing it.
struct S3Error: RemoteError {
  var status: Int
  /// `NoSuchKey` and its like; nil where it did not say.
  var code: String?
  private var message: String?
  private var bucket: String
  var retryAfter: Duration?

  init(_ response: HTTPResponse, bucket: String) {
    status = response.status
    self.bucket = bucket
    retryAfter = response.retryAfter
    if response.isSuccess { message = "The answer is not what was asked for." }
    // Of several errors in one answer the first.
    guard let root = XMLElement.parse(response.body) else { return }
    let error = root.child("Error") ?? root
    code = error.child("Code")?.text
    message = error.child("Message")?.text
  }

  /// Whether a body says that something failed: some operations answer 200 first and fail later.
  static func isError(_ body: [UInt8]) -> Bool {
    String(decoding: body.prefix(200), as: UTF8.self).contains("<Error") && XMLElement.parse(body)?.name == "Error"
  }

  /// The keys lack the right.
  var isDenied: Bool { status == 403 && (code == nil || code == "AccessDenied") }

  /// The bucket, and not the object, is not there.
  var isBucketMissing: Bool { code == "NoSuchBucket" }

  /// - SeeAlso: AWS, "Amazon S3 error responses".
  var isTransient: Bool {
    switch status {
    case 408, 429, 500...599: return status != 501
    case 200..<300: return true
    default:
      return ["RequestTimeTooSkewed", "RequestTimeout", "SlowDown", "ConditionalRequestConflict", "BadDigest"]
        .contains(code)
    }
  }

  var summary: String { "the server answered \(status)" + (code.map { " (\($0))" } ?? "") }
  var detail: String? { message }
  var hint: String? {
    switch code {
    case "NoSuchBucket": "Make bucket \"\(bucket)\", or name another."
    case "RequestTimeTooSkewed": "Set this host's clock: it is far from the server's."
    case "SignatureDoesNotMatch", "InvalidAccessKeyId":
      "Check the access key, the secret key and the region of the store."
    case "InvalidRequest", "ObjectLockConfigurationNotFoundError":
      "Where the store has a \"lock\", its bucket must have object lock: \"backupctl repository probe\" tells."
    case "AccessDenied", "403": "\"backupctl repository policy\" prints the rights that the keys need."
    case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
      "Check the store's region and endpoint: the bucket lies elsewhere."
    default:
      switch status {
      case 403: "\"backupctl repository policy\" prints the rights that the keys need."
      case 301, 307: "Check the store's region and endpoint: the bucket lies elsewhere."
      case 500...599: "The server is in trouble; what was not stored is tried again."
      default: nil
      }
    }
  }
}
