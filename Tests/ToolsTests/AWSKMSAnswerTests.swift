import BackupModel
import Foundation
import Testing

@testable import KeyManagement

@Suite("Answers of AWS KMS") struct AWSKMSAnswerTests {
  @Test("carry secrets in base64, as others write it")
  func base64() {
    for count in 0...100 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255) }
      let text = Array(Data(bytes).base64EncodedString().utf8)
      #expect(Base64.encode(bytes) == text && Base64.decode(text) == bytes)
    }
    for wrong in ["A", "AB", "AB=", "A===", "AB!=", "====", "AA=A"] { #expect(Base64.decode(Array(wrong.utf8)) == nil) }
  }

  @Test(
    "give the plaintext however the JSON is written",
    arguments: [
      (#"{"KeyId":"k","Plaintext":"/+8="}"#, [0xFF, 0xEF] as [UInt8]?),
      (#"{ "Plaintext" : "\/+8=" , "KeyId": "k"}"#, [0xFF, 0xEF]), (#"{"KeyId":"Plaintext"}"#, nil), ("", nil),
      (#"{"Plaintext":null}"#, nil), (#"{"Plaintext":"/+8="#, nil), (#"{"Plaintext":"?"}"#, nil),
    ])
  func plaintext(answer: String, expected: [UInt8]?) {
    #expect(AWSKMSKey.plaintext(of: Array(answer.utf8)) == expected)
  }

  @Test("are told with key and region and a way out, and never repeat what was signed")
  func refusals() {
    let body = """
      {"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does \
      not match.\\n\\nThe Canonical String should have been\\n'POST\\nx-amz-security-token:HIDDEN'"}
      """
    let refusal = AWSKMSRefusal(status: 400, body: Array(body.utf8))
    let name = AWSKMSKeyName(key: "alias/backup", region: "eu-west-1")
    let report = ErrorReport(AWSKMSError.refused(name, .unwrap, refusal))
    #expect(report.summary == "could not unlock the repository with AWS KMS key \"alias/backup\" in eu-west-1")
    #expect(
      report.detail
        == "AWS answered 400 (InvalidSignatureException): The request signature we calculated does not match.")
    #expect(report.hint?.contains("secret key") == true && !"\(report)".contains("HIDDEN"))
  }

  @Test(
    "are worth another attempt where AWS is in trouble",
    arguments: [
      (500, "KMSInternalException", true), (400, "ThrottlingException", true), (503, "", true), (429, "", true),
      (400, "AccessDeniedException", false), (400, "InvalidCiphertextException", false),
      (400, "DisabledException", false),
    ])
  func transient(status: Int, code: String, expected: Bool) {
    let body = code.isEmpty ? "" : "{\"__type\":\"\(code)\"}"
    let refusal = AWSKMSRefusal(status: status, body: Array(body.utf8))
    #expect(refusal.isTransient == expected)
  }
}
