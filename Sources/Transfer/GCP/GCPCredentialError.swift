internal import BackupModel
internal import Foundation

/// There is no token to send.
public enum GCPCredentialError: RemoteError, Equatable {
  case none(reason: String?)
  /// The metadata server did not answer: there is none, or only not now.
  case silent(reason: String?)
  case keyFileInvalid(String)
  /// - Parameter reason: `invalid_grant` and its like; nil where it did not say.
  case refused(by: String, status: Int, reason: String?)
  /// It answered with something that is no token.
  case unreadable(by: String)

  private struct Answer: Decodable {
    var error: String
    var description: String?

    enum CodingKeys: String, CodingKey {
      case error
      case description = "error_description"
    }
  }

  /// - SeeAlso: RFC 6749, 5.2.
  static func refused(_ response: HTTPResponse, by server: String) -> GCPCredentialError {
    let answer = try? JSONDecoder().decode(Answer.self, from: Data(response.body))
    let words = [answer?.error, answer?.description].compactMap { $0 }.joined(separator: ": ")
    return .refused(by: server, status: response.status, reason: words.isEmpty ? nil : String(words.prefix(200)))
  }

  public var isTransient: Bool {
    switch self {
    case .none, .keyFileInvalid: false
    case .refused(_, let status, _): status == 408 || status == 429 || status >= 500
    case .silent, .unreadable: true
    }
  }

  public var summary: String { "could not get a token of Google's" }
  public var detail: String? {
    switch self {
    case .none(let reason):
      "GOOGLE_APPLICATION_CREDENTIALS is not set, and there is no metadata server." + (reason.map { " \($0)" } ?? "")
    case .silent(let reason):
      "GOOGLE_APPLICATION_CREDENTIALS is not set, and no metadata server answers." + (reason.map { " \($0)" } ?? "")
    case .keyFileInvalid(let problem): "The service account's key file cannot be used. \(problem)"
    case .refused(let server, let status, let reason):
      "\(server.prefix(1).uppercased())\(server.dropFirst()) answered \(status)" + (reason.map { " (\($0))" } ?? "")
        + "."
    case .unreadable(let server): "What \(server) answered is no token."
    }
  }
  public var hint: String? {
    switch self {
    case .none, .silent:
      "Name a service account's key file in the store's \"credentials\", or run where there is an account."
    case .keyFileInvalid:
      "Make a key of the service account, in JSON, and name its file in the store's \"credentials\"."
    case .refused(_, let status, _) where status < 500:
      "Check that the account and its key are not disabled, and that this host's clock is right."
    default: nil
    }
  }
}
