public import BackupModel
internal import Cryptography

/// Who signs a request to AWS, or to a server that speaks its protocol.
public struct AWSKeys: Sendable, CustomStringConvertible, CustomReflectable {
  public var accessKey: String
  let secretKey: String
  let sessionToken: String?
  /// When they end; nil for those that do not.
  public var expires: Timestamp?

  public init(accessKey: String, secretKey: String, sessionToken: String? = nil, expires: Timestamp? = nil) {
    self.accessKey = accessKey
    self.secretKey = secretKey
    self.sessionToken = sessionToken
    self.expires = expires
  }
  public var description: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// AWS Signature Version 4 in request headers.
/// - SeeAlso: AWS, "Create a signed AWS API request"; for S3 "Signature Calculations for the Authorization Header".
public struct SignatureV4: Sendable {
  public var region: String
  /// `s3`, `kms`, `sts`.
  public var service: String

  public init(region: String, service: String) {
    self.region = region
    self.service = service
  }

  /// What is signed, as it will be sent.
  public struct Request: Sendable {
    public var method: HTTPRequest.Method
    public var host: String
    /// Encoded, with its leading slash.
    public var path: String
    /// Not encoded.
    public var query: [(name: String, value: String)]
    public var headers: [(name: String, value: String)]
    /// SHA-256 of the body in hexadecimal, or `UNSIGNED-PAYLOAD`.
    public var payloadHash: String

    public init(
      _ method: HTTPRequest.Method, host: String, path: String, query: [(name: String, value: String)] = [],
      headers: [(name: String, value: String)] = [], payloadHash: String
    ) {
      self.method = method
      self.host = host
      self.path = path
      self.query = query
      self.headers = headers
      self.payloadHash = payloadHash
    }
  }

  /// The headers to send: those given, and those that make the signature.
  public func sign(
    _ request: Request, with keys: AWSKeys, at time: Timestamp
  ) throws -> [(name: String, value: String)] {
    let date = Self.date(time)
    var headers = request.headers
    headers.append(("x-amz-date", date))
    if service == "s3" { headers.append(("x-amz-content-sha256", request.payloadHash)) }
    if let token = keys.sessionToken { headers.append(("x-amz-security-token", token)) }
    let signed = (headers + [("host", request.host)])
      .map { (name: $0.name.lowercased(), value: Self.trimmed($0.value)) }.sorted { $0.name < $1.name }
    let names = signed.map(\.name).joined(separator: ";")
    let canonical = [
      request.method.rawValue, request.path, PercentEncoding.query(request.query),
      signed.map { "\($0.name):\($0.value)\n" }.joined(), names, request.payloadHash,
    ].joined(separator: "\n")
    let scope = "\(date.prefix(8))/\(region)/\(service)/aws4_request"
    let text = [
      "AWS4-HMAC-SHA256", date, scope, BytesText.hexadecimal(SHA256Digest.hash(Array(canonical.utf8))),
    ].joined(separator: "\n")
    var key = Array("AWS4\(keys.secretKey)".utf8)
    for part in scope.split(separator: "/") { key = try MessageCode.compute(Array(part.utf8), key: key) }
    let signature = BytesText.hexadecimal(try MessageCode.compute(Array(text.utf8), key: key))
    let credential = "Credential=\(keys.accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
    headers.append(("Authorization", "AWS4-HMAC-SHA256 \(credential)"))
    return headers
  }

  private static func trimmed(_ value: String) -> String {
    value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }

  /// `20150830T123600Z`.
  static func date(_ time: Timestamp) -> String {
    String(time.description.prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
  }
}
