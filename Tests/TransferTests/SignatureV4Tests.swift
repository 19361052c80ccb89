import BackupModel
import Cryptography
import Testing
import Transfer

/// Against the signatures that AWS publishes: its test suite for version 4, and the examples of the S3 documentation.
@Suite("AWS signatures") struct SignatureV4Tests {
  private static let empty = BytesText.hexadecimal(SHA256Digest.hash([]))

  private func signature(_ signer: SignatureV4, _ request: SignatureV4.Request, _ keys: AWSKeys, _ time: String) throws
    -> String
  {
    let headers = try signer.sign(request, with: keys, at: Timestamp(rfc3339: time))
    let authorization = try #require(headers.first { $0.name == "Authorization" }?.value)
    return String(authorization.suffix(64))
  }

  @Test("are those of the published suite")
  func suite() throws {
    let signer = SignatureV4(region: "us-east-1", service: "service")
    let keys = AWSKeys(accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    func sign(_ method: HTTPRequest.Method, _ query: [(name: String, value: String)] = []) throws -> String {
      let request = SignatureV4.Request(
        method, host: "example.amazonaws.com", path: "/", query: query, payloadHash: Self.empty)
      return try signature(signer, request, keys, "2015-08-30T12:36:00Z")
    }
    #expect(try sign(.get) == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    #expect(try sign(.post) == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
    #expect(
      try sign(.get, [("Param2", "value2"), ("Param1", "value1")])
        == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
  }

  @Test("cover the token of keys that end")
  func token() throws {
    // "post-sts-header-before" of the same suite.
    let token =
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuw"
      + "thAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVX"
      + "AkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
    let keys = AWSKeys(
      accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: token)
    let headers = try SignatureV4(region: "us-east-1", service: "service").sign(
      SignatureV4.Request(.post, host: "example.amazonaws.com", path: "/", payloadHash: Self.empty), with: keys,
      at: Timestamp(rfc3339: "2015-08-30T12:36:00Z"))
    let authorization = try #require(headers.first { $0.name == "Authorization" }?.value)
    #expect(authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"))
    #expect(authorization.hasSuffix("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"))
    #expect(headers.contains { $0.name == "x-amz-security-token" && $0.value == token })
  }

  @Test("are those of the examples for S3")
  func examples() throws {
    let signer = SignatureV4(region: "us-east-1", service: "s3")
    let keys = AWSKeys(accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    func sign(
      _ method: HTTPRequest.Method, _ path: String, _ query: [(name: String, value: String)] = [],
      _ headers: [(name: String, value: String)] = [], hash: String = Self.empty
    ) throws -> String {
      let request = SignatureV4.Request(
        method, host: "examplebucket.s3.amazonaws.com", path: path, query: query, headers: headers, payloadHash: hash)
      return try signature(signer, request, keys, "2013-05-24T00:00:00Z")
    }
    #expect(
      try sign(.get, "/test.txt", [], [("Range", "bytes=0-9")])
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    #expect(
      try sign(
        .put, "/test%24file.text", [],
        [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        hash: BytesText.hexadecimal(SHA256Digest.hash(Array("Welcome to Amazon S3.".utf8))))
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    #expect(
      try sign(.get, "/", [("lifecycle", "")]) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    #expect(
      try sign(.get, "/", [("max-keys", "2"), ("prefix", "J")])
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  @Test("encode everything but unreserved characters")
  func encoding() {
    #expect(PercentEncoding.encoded("a b/c~é+") == "a%20b%2Fc~%C3%A9%2B")
    #expect(PercentEncoding.encoded("a/b", slash: true) == "a/b")
  }

  @Test("never show a secret")
  func redacted() {
    let keys = AWSKeys(accessKey: "AK", secretKey: "very-secret", sessionToken: "token-secret")
    #expect(!"\(keys) \(String(reflecting: keys))".contains("secret"))
  }
}
