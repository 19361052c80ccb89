public import BackupModel
internal import Foundation

/// What a request to Google is authorized with, for an hour or less.
public struct GCPToken: Sendable, CustomStringConvertible, CustomReflectable {
  private let secret: Secret
  public var expires: Timestamp

  public init(_ secret: Secret, expires: Timestamp) {
    self.secret = secret
    self.expires = expires
  }

  /// To be sent, and kept out of every text.
  public var header: (name: String, value: String) { ("Authorization", "Bearer \(secret.revealText())") }

  public var description: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }

  private struct Answer: Decodable {
    var accessToken: String
    /// Seconds.
    var expiresIn: Int64

    enum CodingKeys: String, CodingKey {
      case accessToken = "access_token"
      case expiresIn = "expires_in"
    }
  }

  /// A token server's answer, and that of a virtual machine's metadata server.
  /// - Returns: Nil for anything else.
  /// - SeeAlso: RFC 6749, 5.1.
  static func parse(_ bytes: [UInt8], at moment: Timestamp) -> GCPToken? {
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(bytes)), !answer.accessToken.isEmpty,
      // It becomes a line of a request: what is no visible ASCII would make another of it.
      answer.accessToken.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { return nil }
    return GCPToken(
      Secret(answer.accessToken), expires: moment + .seconds(max(0, min(answer.expiresIn, 86400))))
  }
}
