public import BackupModel
internal import Cryptography
import Foundation

/// A small JSON document with a check at its end, one line:
/// `{"content":` C `,"sha256":"` D `"}`, or `{"content":` C `,"key":"` K `","hmac":"` D `"}`.
///
/// The check covers the bytes C as they stand in the file, so that no rule about equivalent JSON is needed. K is the id
/// of the data key the HMAC is made with: documents outlive a rotation.
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

  private static let plainLabel = Array(",\"sha256\":\"".utf8)
  private static let close = Array("\"}\n".utf8)
  private static let digestDigits = 64

  private static func authenticLabel(_ key: KeyID) -> [UInt8] { Array(",\"key\":\"\(key)\",\"hmac\":\"".utf8) }

  private static func join(_ content: [UInt8], label: [UInt8], digest: [UInt8]) -> [UInt8] {
    head + content + label + Array(BytesText.hexadecimal(digest).utf8) + close
  }

  /// Takes a document apart, without judging the check.
  private static func split(
    _ bytes: [UInt8], labelLength: Int
  ) throws(Failure) -> (content: [UInt8], label: [UInt8], digest: [UInt8]) {
    let tailLength = labelLength + digestDigits + close.count
    guard bytes.count >= head.count + tailLength, bytes.starts(with: head),
      bytes.suffix(close.count).elementsEqual(close)
    else { throw .malformed }
    let contentEnd = bytes.count - tailLength
    let labelEnd = contentEnd + labelLength
    let digits = String(decoding: bytes[labelEnd..<(labelEnd + digestDigits)], as: UTF8.self)
    guard let digest = BytesText.bytes(hexadecimal: digits), digest.count == 32 else { throw .malformed }
    return (Array(bytes[head.count..<contentEnd]), Array(bytes[contentEnd..<labelEnd]), digest)
  }

  /// A document that can be checked before any key is there.
  public static func encodePlain(_ value: some Encodable) throws -> [UInt8] {
    let content = try encode(value)
    return join(content, label: plainLabel, digest: SHA256Digest.hash(content))
  }

  public static func decodePlain<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws(Failure) -> Value {
    let (content, label, digest) = try split(bytes, labelLength: plainLabel.count)
    guard label == plainLabel else { throw .malformed }
    guard MessageCode.equal(SHA256Digest.hash(content), digest) else { throw .changed }
    return try decode(type, content)
  }

  /// A document bound to its object name by an HMAC: moved elsewhere it is refused.
  public static func encodeAuthentic(_ value: some Encodable, name: String, keys: DataKey) throws -> [UInt8] {
    let content = try encode(value)
    return join(content, label: authenticLabel(keys.id), digest: try code(content, name, keys))
  }

  public static func decodeAuthentic<Value: Decodable>(
    _ type: Value.Type, _ bytes: [UInt8], name: String, keys: DataKey
  ) throws -> Value {
    let expected = authenticLabel(keys.id)
    let (content, label, digest) = try split(bytes, labelLength: expected.count)
    guard label == expected else { throw Failure.changed }
    guard MessageCode.equal(try code(content, name, keys), digest) else { throw Failure.changed }
    return try decode(type, content)
  }

  /// The data key an authentic document names.
  public static func keyID(of bytes: [UInt8]) throws(Failure) -> KeyID {
    let label = try split(bytes, labelLength: authenticLabel(KeyID(high: 0, low: 0)).count).label
    // `,"key":"` comes before the id.
    guard let id = try? KeyID(String(decoding: label.dropFirst(8).prefix(32), as: UTF8.self)),
      label == authenticLabel(id)
    else { throw .malformed }
    return id
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
