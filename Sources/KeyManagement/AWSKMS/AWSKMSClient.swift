internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Foundation
internal import Transfer

/// The JSON protocol of AWS KMS: signs calls, sends them, and sends them again where that can help.
/// - SeeAlso: AWS, "Key Management Service API Reference".
final class AWSKMSClient: Sendable {
  private let region: String
  private let origin: String
  private let host: String
  private let credentials: AWSCredentials
  private let retries: RetrySchedule
  private let http: HTTPClient

  /// An answer is a few kilobytes; KMS takes no more than 4096 bytes to wrap.
  private static let answerLimit = 64 << 10

  /// - Parameter endpoint: `https://host:port` without a path; nil for Amazon's of the region.
  init(region: String, endpoint: String?, credentials: AWSCredentials, retries: RetrySchedule) {
    self.region = region
    self.credentials = credentials
    self.retries = retries
    let given = endpoint ?? "https://kms.\(region).\(AWSRegion.domain(of: region))"
    let origin = given.hasSuffix("/") ? String(given.dropLast()) : given
    self.origin = origin
    host = origin.firstRange(of: "://").map { String(origin[$0.upperBound...]) } ?? origin
    var options = HTTPClient.Options()
    options.connections = 1
    // Of several recipients the next one is asked when this one does not answer.
    options.patience = .seconds(5)
    http = HTTPClient(options)
  }

  /// The credentials could not be had; tells them from what AWS answers.
  struct CredentialFailure: Error {
    var cause: ErrorReport
  }

  /// Calls an operation.
  /// - Parameters:
  ///   - operation: `Encrypt`, `Decrypt`, `CreateKey`.
  ///   - body: JSON.
  ///   - take: Given the JSON of the answer, which is wiped afterwards.
  /// - Throws: ``AWSKMSRefusal``, ``CredentialFailure``, `TransferError`, `CancellationError`; what `take` throws.
  func call<Result>(
    _ operation: String, _ body: [UInt8], _ cancellation: Cancellation, take: ([UInt8]) throws -> Result
  ) throws -> Result {
    try retries.run(cancellation, advice: advice) { attempt in
      if attempt > 0 { http.addRetry() }
      var answer = [UInt8](repeating: 0, count: Self.answerLimit)
      defer { SecretBytes.wipe(&answer) }
      let response = try send(operation, body, into: &answer, cancellation)
      guard response.isSuccess else { throw AWSKMSRefusal(status: response.status, body: response.body) }
      answer.removeSubrange(response.received...)
      return try take(answer)
    }
  }

  private func send(
    _ operation: String, _ body: [UInt8], into answer: inout [UInt8], _ cancellation: Cancellation
  ) throws -> HTTPResponse {
    let request = SignatureV4.Request(
      .post, host: host, path: "/",
      headers: [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "TrentService.\(operation)")],
      payloadHash: BytesText.hexadecimal(SHA256Digest.hash(body)))
    let signer = SignatureV4(region: region, service: "kms")
    let headers = try signer.sign(request, with: keys(cancellation), at: .now())
    return try body.withUnsafeBytes { body in
      try answer.withUnsafeMutableBytes {
        try http.send(HTTPRequest(.post, origin + "/", headers: headers), body: [body], into: .memory($0), cancellation)
      }
    }
  }

  private func keys(_ cancellation: Cancellation) throws -> AWSKeys {
    do {
      return try credentials.keys(cancellation)
    } catch let error as CancellationError {
      throw error
    } catch {
      throw CredentialFailure(cause: ErrorReport(error))
    }
  }

  private func advice(_ error: any Error) -> RetrySchedule.Advice {
    switch error {
    case let error as TransferError: return error.isTransient ? .again(after: nil) : .giveUp
    case let error as AWSKMSRefusal:
      // Keys of a role end; those of the configuration may have been replaced.
      if error.code == "ExpiredTokenException" {
        credentials.forget()
        return .again(after: nil)
      }
      return error.isTransient ? .again(after: nil) : .giveUp
    default: return .giveUp
    }
  }
}

/// What AWS KMS answered instead of doing it.
public struct AWSKMSRefusal: Error, Sendable, Hashable {
  public var status: Int
  /// `AccessDeniedException` and its like; nil where it did not say.
  public var code: String?
  public var message: String?

  private struct Answer: Decodable {
    var type: String?
    var message: String?
    /// As some of Amazon's front ends write it.
    var otherMessage: String?

    enum CodingKeys: String, CodingKey {
      case type = "__type"
      case message
      case otherMessage = "Message"
    }
  }

  init(status: Int, body: [UInt8]) {
    self.status = status
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)) else { return }
    // `com.amazonaws.kms#NotFoundException` in some answers.
    code = answer.type?.split(separator: "#").last.map(String.init)
    // One line: what follows in the answer to a wrong signature repeats headers of the request, a session token too.
    let text = answer.message ?? answer.otherMessage
    message = text.map { String($0.prefix { !$0.isNewline }.prefix(400)) }
  }

  /// Whether asking again can help.
  /// - SeeAlso: AWS, "Common errors" of the Key Management Service API Reference.
  var isTransient: Bool {
    if [408, 429].contains(status) || (500...599).contains(status) { return true }
    return ["ThrottlingException", "RequestTimeout", "KMSInternalException", "DependencyTimeoutException"].contains(
      code)
  }

  /// `400 (AccessDeniedException): User … is not authorized`.
  var text: String {
    var text = "\(status)" + (code.map { " (\($0))" } ?? "")
    if let message, !message.isEmpty { text += ": \(message)" }
    return text.hasSuffix(".") ? text : text + "."
  }
}
