internal import Cryptography
import Foundation

/// A small JSON document with a check at its end, one line:
/// `{"content":` C `,"sha256":"` D `"}`, or `"hmac"` in place of `"sha256"`.
///
/// The check covers the bytes C as they stand in the file, so that no rule about equivalent JSON is needed.
public enum CheckedDocument {
  public enum Failure: Error, Sendable, Equatable {
    /// Not of the form above.
    case malformed
    /// The check does not fit the content.
    case changed
    /// The content is not the JSON that was expected; says why.
    case content(String)
  }

  private static let head = Array("{\"content\":".utf8)

  static func tail(_ label: String, _ digest: [UInt8]) -> [UInt8] {
    Array(",\"\(label)\":\"\(BytesText.hexadecimal(digest))\"}\n".utf8)
  }

  /// Joins content and check. `digest` computes the check of the content's bytes.
  static func join(_ content: [UInt8], label: String, digest: [UInt8]) -> [UInt8] {
    head + content + tail(label, digest)
  }

  /// Splits content and check, without judging the check.
  static func split(_ bytes: [UInt8], label: String) throws(Failure) -> (content: [UInt8], digest: [UInt8]) {
    let tailLength = tail(label, [UInt8](repeating: 0, count: 32)).count
    guard bytes.count >= head.count + tailLength, bytes.starts(with: head) else { throw .malformed }
    let end = bytes.count - tailLength
    let labelled = Array(",\"\(label)\":\"".utf8)
    guard bytes[end...].starts(with: labelled), bytes.suffix(3).elementsEqual(Array("\"}\n".utf8)) else {
      throw .malformed
    }
    let text = String(decoding: bytes[(end + labelled.count)..<(bytes.count - 3)], as: UTF8.self)
    guard let digest = BytesText.bytes(hexadecimal: text), digest.count == 32 else { throw .malformed }
    return (Array(bytes[head.count..<end]), digest)
  }

  /// A document that can be checked before any key is there.
  public static func encodePlain(_ value: some Encodable) throws -> [UInt8] {
    let content = try encode(value)
    return join(content, label: "sha256", digest: SHA256Digest.hash(content))
  }

  public static func decodePlain<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws(Failure) -> Value {
    let (content, digest) = try split(bytes, label: "sha256")
    guard MessageCode.equal(SHA256Digest.hash(content), digest) else { throw .changed }
    return try decode(type, content)
  }

  /// A document bound to its object name by an HMAC: moved elsewhere it is refused.
  public static func encodeAuthentic(_ value: some Encodable, name: String, keys: DataKey) throws -> [UInt8] {
    let content = try encode(value)
    return join(content, label: "hmac", digest: try code(content, name, keys))
  }

  public static func decodeAuthentic<Value: Decodable>(
    _ type: Value.Type, _ bytes: [UInt8], name: String, keys: DataKey
  ) throws -> Value {
    let (content, digest) = try split(bytes, label: "hmac")
    guard MessageCode.equal(try code(content, name, keys), digest) else { throw Failure.changed }
    return try decode(type, content)
  }

  private static func code(_ content: [UInt8], _ name: String, _ keys: DataKey) throws -> [UInt8] {
    let key = try keys.key.derive(salt: [], info: "backupd document")
    return try MessageCode.compute(Array(name.utf8) + [0] + content, key: key)
  }

  private static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, _ content: [UInt8]) throws(Failure) -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(content))
    } catch {
      throw .content(String(describing: error))
    }
  }
}
