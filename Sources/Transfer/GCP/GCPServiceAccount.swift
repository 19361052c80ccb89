internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Foundation

/// A service account's key file: who we are to Google, proved by signing a JSON Web Token.
/// - SeeAlso: Google, "Using OAuth 2.0 for Server to Server Applications"; RFC 7523.
struct GCPServiceAccount: Sendable, CustomStringConvertible, CustomReflectable {
  private let email: String
  private let keyID: String?
  private let key: Secret
  private let tokenAddress: String

  private struct KeyFile: Decodable {
    var type: String
    var email: String?
    var keyID: String?
    var key: String?
    var tokenAddress: String?

    enum CodingKeys: String, CodingKey {
      case type
      case email = "client_email"
      case keyID = "private_key_id"
      case key = "private_key"
      case tokenAddress = "token_uri"
    }
  }

  /// - Parameter keyFile: The content of the JSON file that Google makes for a key.
  /// - Throws: ``GCPCredentialError/keyFileInvalid(_:)``.
  init(keyFile: [UInt8]) throws(GCPCredentialError) {
    // What the decoder says of broken text could show parts of it.
    guard let file = try? JSONDecoder().decode(KeyFile.self, from: Data(keyFile)) else {
      throw .keyFileInvalid("It is not the JSON of a key file.")
    }
    guard file.type == "service_account" else {
      throw .keyFileInvalid("It is of type \"\(file.type.prefix(40))\", and not of type \"service_account\".")
    }
    guard let email = file.email, let key = file.key else {
      throw .keyFileInvalid("It lacks \"client_email\" or \"private_key\".")
    }
    self.email = email
    self.key = Secret(key)
    keyID = file.keyID
    tokenAddress = file.tokenAddress ?? "https://oauth2.googleapis.com/token"
  }

  var description: String { "<redacted>" }
  var customMirror: Mirror { Mirror(self, children: []) }

  private struct Header: Encodable {
    var alg = "RS256"
    var typ = "JWT"
    var kid: String?
  }
  private struct Claims: Encodable {
    var iss: String
    var scope: String
    var aud: String
    /// Seconds since 1970.
    var iat: Int64
    var exp: Int64
  }

  /// A signed token that says who asks for what. Good for an hour.
  /// - Throws: ``GCPCredentialError/keyFileInvalid(_:)``.
  func assertion(scope: String, at moment: Timestamp) throws -> String {
    let claims = Claims(
      iss: email, scope: scope, aud: tokenAddress, iat: moment.seconds, exp: moment.seconds + 3600)
    let encoder = JSONEncoder()
    let text = Self.encoded(try encoder.encode(Header(kid: keyID))) + "." + Self.encoded(try encoder.encode(claims))
    do throws(CryptographyError) {
      let signature = try RSASigningKey(pem: key.reveal()).sign(Array(text.utf8))
      return text + "." + Self.encoded(Data(signature))
    } catch {
      throw GCPCredentialError.keyFileInvalid("Its private key is none that signs by RSA.")
    }
  }

  /// Base64 for URLs, without padding (RFC 7515, 2).
  private static func encoded(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  /// - Throws: ``GCPCredentialError``, ``TransferError``, `CancellationError`.
  func token(scope: String, _ client: HTTPClient, _ cancellation: Cancellation) throws -> GCPToken {
    let moment = Timestamp.now()
    let form = PercentEncoding.query([
      ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
      ("assertion", try assertion(scope: scope, at: moment)),
    ])
    let request = HTTPRequest(
      .post, tokenAddress, headers: [("Content-Type", "application/x-www-form-urlencoded")])
    let response = try Array(form.utf8).withUnsafeBytes {
      try client.send(request, body: [$0], into: .collect(limit: 64 << 10), cancellation)
    }
    guard response.isSuccess else { throw GCPCredentialError.refused(response, by: "the token server") }
    guard let token = GCPToken.parse(response.body, at: moment) else {
      throw GCPCredentialError.unreadable(by: "the token server")
    }
    return token
  }
}
