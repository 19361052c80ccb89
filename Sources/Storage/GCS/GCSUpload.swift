internal import BackupModel
internal import Cryptography
internal import Foundation

/// An object and what is said of it, as one body of two parts. The payload is borrowed, never copied.
/// - SeeAlso: Google, "Cloud Storage: Upload objects", "multipart"; RFC 2387.
struct GCSUpload {
  /// SHA-256 of the payload in hexadecimal.
  let hash: String
  /// MD5 of the payload in base64, by which the server checks what came.
  let sum: String
  /// Bytes of the payload.
  let count: Int64
  private let boundary: String
  private let head: [UInt8]
  private let tail: [UInt8]

  private struct Description: Encodable {
    var name: String
    var md5Hash: String
    var storageClass: String?
    var metadata: [String: String]
  }

  init(_ key: String, _ payload: UnsafeRawBufferPointer, storageClass: String?) throws {
    hash = BytesText.hexadecimal(try SHA256Digest.hash(pieces: [payload]))
    sum = Data(try MD5Digest.hash(payload)).base64EncodedString()
    count = Int64(payload.count)
    // Drawn at random, so that no payload holds it.
    boundary = RandomID.random().description
    // By its SHA-256 a put whose answer was lost is known again.
    let description = Description(name: key, md5Hash: sum, storageClass: storageClass, metadata: ["sha256": hash])
    let json = String(decoding: try JSONEncoder().encode(description), as: UTF8.self)
    head = Array(
      """
      --\(boundary)\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n\(json)\r\n\
      --\(boundary)\r\nContent-Type: application/octet-stream\r\n\r\n
      """.utf8)
    tail = Array("\r\n--\(boundary)--\r\n".utf8)
  }

  var contentType: String { "multipart/related; boundary=\(boundary)" }

  /// The body in the pieces that it is sent in.
  func withBody<Result>(
    _ payload: UnsafeRawBufferPointer, _ body: ([UnsafeRawBufferPointer]) throws -> Result
  ) rethrows -> Result {
    try head.withUnsafeBytes { head in try tail.withUnsafeBytes { tail in try body([head, payload, tail]) } }
  }
}
