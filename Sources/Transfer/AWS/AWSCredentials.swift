public import BackupModel
public import BlockingWork
internal import Foundation
import Synchronization

/// Where the keys come from that sign requests.
public enum AWSCredentialSource: Sendable {
  /// The configuration names where they lie; read anew each time they are asked for.
  case configured(@Sendable () throws -> AWSKeys)
  /// The first that has any: environment, shared file, instance metadata.
  case automatic
}

/// Keys, kept until they end or are refused.
public final class AWSCredentials: Sendable {
  private let source: AWSCredentialSource
  private let environment: [String: String]
  private let known = Renewed<AWSKeys>(margin: .seconds(120)) { $0.expires }

  /// - Parameter environment: `AWS_ACCESS_KEY_ID` and its like, as the AWS command line reads them; nil takes the
  ///   process's own.
  public init(_ source: AWSCredentialSource, environment: [String: String]? = nil) {
    self.source = source
    self.environment = environment ?? ProcessInfo.processInfo.environment
  }

  /// - Throws: ``AWSCredentialError``; what reading a secret throws; ``TransferError``.
  public func keys(_ cancellation: Cancellation) throws -> AWSKeys {
    try known.value { try read(cancellation) }
  }

  /// They were refused: they may have ended, or been replaced.
  public func forget() { known.forget() }

  private func read(_ cancellation: Cancellation) throws -> AWSKeys {
    if case .configured(let read) = source { return try read() }
    if let keys = environmentKeys() { return keys }
    if let keys = try sharedFileKeys() { return keys }
    if environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() == "true" { throw AWSCredentialError.none(reason: nil) }
    do {
      return try InstanceMetadata(environment).keys(cancellation)
    } catch let error as TransferError {
      throw AWSCredentialError.none(reason: error.detail)
    }
  }

  private func environmentKeys() -> AWSKeys? {
    guard let access = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
      return nil
    }
    return AWSKeys(accessKey: access, secretKey: secret, sessionToken: environment["AWS_SESSION_TOKEN"])
  }

  private func sharedFileKeys() throws -> AWSKeys? {
    let home = environment["HOME"] ?? "/"
    let path = environment["AWS_SHARED_CREDENTIALS_FILE"] ?? home + "/.aws/credentials"
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    let profile = environment["AWS_PROFILE"] ?? "default"
    return try Self.keys(inSharedFile: String(decoding: data, as: UTF8.self), profile: profile, path: path)
  }

  /// - SeeAlso: AWS, "Configuration and credential file settings".
  static func keys(inSharedFile text: String, profile: String, path: String) throws(AWSCredentialError) -> AWSKeys {
    var values: [String: String] = [:]
    var isOurs = false
    for line in text.split(whereSeparator: \.isNewline) {
      let line = line.trimmingCharacters(in: .whitespaces)
      if line.hasPrefix("[") {
        isOurs = line.dropFirst().prefix { $0 != "]" }.trimmingCharacters(in: .whitespaces) == profile
      } else if isOurs, !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") {
        let name = line[..<equals].trimmingCharacters(in: .whitespaces).lowercased()
        values[name] = line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces)
      }
    }
    guard let access = values["aws_access_key_id"], let secret = values["aws_secret_access_key"] else {
      throw .fileLacksProfile(path, profile: profile)
    }
    return AWSKeys(accessKey: access, secretKey: secret, sessionToken: values["aws_session_token"])
  }
}

/// Keys of the role of the virtual machine we run on, by the second version of the protocol, which needs a token first.
/// - SeeAlso: AWS, "Use the Instance Metadata Service to access instance metadata".
struct InstanceMetadata {
  private let endpoint: String
  private let client: HTTPClient

  init(_ environment: [String: String]) {
    endpoint = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? "http://169.254.169.254"
    var options = HTTPClient.Options()
    // It is on this host or nowhere.
    options.patience = .seconds(2)
    options.connections = 1
    client = HTTPClient(options)
  }

  func keys(_ cancellation: Cancellation) throws -> AWSKeys {
    let base = endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint
    let lifetime = [(name: "X-aws-ec2-metadata-token-ttl-seconds", value: "300")]
    let token = try text(HTTPRequest(.put, base + "/latest/api/token", headers: lifetime), cancellation)
    let headers = [(name: "X-aws-ec2-metadata-token", value: token)]
    let roles = base + "/latest/meta-data/iam/security-credentials/"
    let role = try text(HTTPRequest(.get, roles, headers: headers), cancellation)
    guard let name = role.split(whereSeparator: \.isNewline).first else {
      throw AWSCredentialError.none(reason: "The instance has no role.")
    }
    let answer = try text(
      HTTPRequest(.get, roles + PercentEncoding.encoded(String(name)), headers: headers), cancellation)
    guard let found = try? JSONDecoder().decode(Answer.self, from: Data(answer.utf8)) else {
      throw AWSCredentialError.none(reason: "The instance metadata service did not answer with keys.")
    }
    return AWSKeys(
      accessKey: found.accessKey, secretKey: found.secretKey, sessionToken: found.token,
      expires: try? Timestamp(rfc3339: found.expiration))
  }

  private struct Answer: Decodable {
    var accessKey: String
    var secretKey: String
    var token: String
    var expiration: String

    enum CodingKeys: String, CodingKey {
      case accessKey = "AccessKeyId"
      case secretKey = "SecretAccessKey"
      case token = "Token"
      case expiration = "Expiration"
    }
  }

  private func text(_ request: HTTPRequest, _ cancellation: Cancellation) throws -> String {
    let response = try client.send(request, into: .collect(limit: 64 << 10), cancellation)
    guard response.isSuccess else {
      throw AWSCredentialError.none(reason: "The instance metadata service answered \(response.status).")
    }
    return String(decoding: response.body, as: UTF8.self)
  }
}

/// There are no keys to sign with.
public enum AWSCredentialError: OperatorError, Equatable {
  case none(reason: String?)
  case fileLacksProfile(String, profile: String)

  public var summary: String { "could not find AWS credentials" }
  public var detail: String? {
    switch self {
    case .none(let reason):
      "The environment has none, there is no shared credentials file, and there is no instance role."
        + (reason.map { " \($0)" } ?? "")
    case .fileLacksProfile(let path, let profile): "\"\(path)\" has no keys for profile \"\(profile)\"."
    }
  }
  public var hint: String? {
    "Name them in the store's \"credentials\", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the service."
  }
}
