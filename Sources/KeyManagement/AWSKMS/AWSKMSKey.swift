internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Foundation
public import Transfer

/// A key of AWS KMS as the configuration names it.
public struct AWSKMSKeyName: Sendable, Hashable, CustomStringConvertible {
  /// `alias/NAME`, the key's id or its ARN.
  public var key: String
  public var region: String

  public init(key: String, region: String) {
    self.key = key
    self.region = region
  }

  public var description: String { "AWS KMS key \"\(key)\" in \(region)" }
}

/// A key of AWS KMS that data keys are wrapped for. It never leaves AWS: each wrapping and unwrapping is a call.
public struct AWSKMSKey: Sendable {
  public let name: AWSKMSKeyName
  private let client: AWSKMSClient

  /// Ten seconds: long enough for a hiccup, and another recipient may be waiting to be asked.
  public static let retries = RetrySchedule(total: .seconds(10), longest: .seconds(3))

  /// - Parameters:
  ///   - endpoint: `https://host:port` instead of Amazon's of the region, such as a VPC endpoint.
  ///   - retries: For answers and silences that may have been bad luck.
  public init(
    _ name: AWSKMSKeyName, endpoint: String? = nil, credentials: AWSCredentials, retries: RetrySchedule = Self.retries
  ) {
    self.name = name
    client = AWSKMSClient(region: name.region, endpoint: endpoint, credentials: credentials, retries: retries)
  }

  /// A secret that KMS has wrapped.
  struct Wrapped {
    /// Of the key that did it, whatever name it was asked for by.
    var keyARN: String
    var blob: [UInt8]
  }

  /// - Parameter context: Bound to the result: unwrapping wants the same. AWS writes it into its own log.
  /// - Throws: ``AWSKMSError``, `CancellationError`.
  func wrap(_ secret: [UInt8], context: [String: String], _ cancellation: Cancellation) throws -> Wrapped {
    var body = try body(context: context, field: "Plaintext", bytes: secret)
    defer { SecretBytes.wipe(&body) }
    return try reporting(.wrap) {
      try client.call("Encrypt", body, cancellation) { answer in
        guard let answer = try? JSONDecoder().decode(Encrypted.self, from: Data(answer)) else {
          throw AWSKMSError.answerUnusable(name, .wrap)
        }
        return Wrapped(keyARN: answer.keyID, blob: Array(answer.blob))
      }
    }
  }

  /// - Returns: The secret, which the caller wipes.
  /// - Throws: ``AWSKMSError``, `CancellationError`.
  func unwrap(_ blob: [UInt8], context: [String: String], _ cancellation: Cancellation) throws -> [UInt8] {
    let body = try body(context: context, field: "CiphertextBlob", bytes: blob)
    return try reporting(.unwrap) {
      try client.call("Decrypt", body, cancellation) { answer in
        guard let bytes = Self.plaintext(of: answer) else { throw AWSKMSError.answerUnusable(name, .unwrap) }
        return bytes
      }
    }
  }

  private struct Encrypted: Decodable {
    var keyID: String
    var blob: Data

    enum CodingKeys: String, CodingKey {
      case keyID = "KeyId"
      case blob = "CiphertextBlob"
    }
  }

  /// The key is named in both directions: KMS then refuses what another key has wrapped, such as one of whoever can write
  /// to a store.
  private func body(context: [String: String], field: String, bytes: [UInt8]) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let key = Array(try encoder.encode(name.key))
    let context = Array(try encoder.encode(context))
    var base64 = Base64.encode(bytes)
    defer { SecretBytes.wipe(&base64) }
    var body: [UInt8] = []
    body.reserveCapacity(key.count + context.count + base64.count + 128)
    for part in [Array("{\"KeyId\":".utf8), key, Array(",\"EncryptionContext\":".utf8), context] { body += part }
    body += Array(",\"\(field)\":\"".utf8)
    body += base64
    body += Array("\"}".utf8)
    return body
  }

  /// The value of `Plaintext`, found by hand: a JSON decoder would leave copies of the secret behind.
  static func plaintext(of answer: [UInt8]) -> [UInt8]? {
    guard let label = answer.firstRange(of: Array("\"Plaintext\"".utf8)) else { return nil }
    let rest = answer[label.upperBound...].drop { $0 == 0x20 || $0 == 0x3A || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    guard rest.first == 0x22, let end = rest.dropFirst().firstIndex(of: 0x22) else { return nil }
    let value = rest.dropFirst()[..<end]
    guard value.contains(0x5C) else { return Base64.decode(value) }
    // JSON may write a slash as `\/`.
    var plain = value.filter { $0 != 0x5C }
    defer { SecretBytes.wipe(&plain) }
    return Base64.decode(plain)
  }

  private func reporting<Result>(_ operation: AWSKMSError.Operation, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as TransferError {
      throw AWSKMSError.unreachable(name, operation, cause: ErrorReport(error))
    } catch let refusal as AWSKMSRefusal {
      throw AWSKMSError.refused(name, operation, refusal)
    } catch let failure as AWSKMSClient.CredentialFailure {
      throw AWSKMSError.credentialsMissing(name, operation, cause: failure.cause)
    }
  }
}
