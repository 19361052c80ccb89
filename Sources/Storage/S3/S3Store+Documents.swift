internal import Cryptography
internal import Foundation
internal import Transfer

/// Requests and answers that are documents of XML.
extension S3Store {
  /// Sends a document, with the sum that the server asks for with these.
  func sendDocument(
    _ text: String, _ method: HTTPRequest.Method, key: String = "", query: [(name: String, value: String)],
    accepted: Set<Int> = [], isAnswer: (HTTPResponse) -> Bool = { _ in true }
  ) throws -> HTTPResponse {
    let body = Array(text.utf8)
    return try body.withUnsafeBytes { bytes in
      var call = S3Connection.Call(
        method: method, key: key, query: query, body: bytes,
        payloadHash: BytesText.hexadecimal(SHA256Digest.hash(body)))
      call.headers = [try Self.contentMD5(bytes)]
      call.accepted = accepted
      return try send(call, isAnswer: isAnswer)
    }
  }

  /// - SeeAlso: RFC 1864.
  static func contentMD5(_ bytes: UnsafeRawBufferPointer) throws -> (name: String, value: String) {
    ("Content-MD5", Data(try MD5Digest.hash(bytes)).base64EncodedString())
  }

  /// What the bucket is set to.
  /// - Parameter absent: Statuses of servers that do not know the question, or know nothing to answer.
  /// - Returns: Nil for those.
  func setting(_ what: String, absent: Set<Int>) throws -> XMLElement? {
    let response = try send(S3Connection.Call(method: .get, query: [(what, "")], accepted: absent))
    return response.isSuccess ? XMLElement.parse(response.body) : nil
  }
}
