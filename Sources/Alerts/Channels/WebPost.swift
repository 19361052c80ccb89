internal import BackupModel
internal import BlockingWork
internal import Transfer

/// The address of a server, out of a secret.
enum WebAddress {
  /// - Throws: ``AlertError/addressInvalid``, which does not show it.
  static func text(_ secret: Secret) throws -> String {
    let text = secret.revealText()
    guard text.hasPrefix("https://") || text.hasPrefix("http://"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { throw AlertError.addressInvalid }
    return text
  }
}

/// A POST whose answer is a status and perhaps a word.
struct WebPost {
  let client: HTTPClient
  /// Who answers, for messages: never the address, which may be a secret.
  let name: String

  func send(_ request: HTTPRequest, _ body: [UInt8], _ cancellation: Cancellation) throws -> AlertReceipt {
    let response = try body.withUnsafeBytes {
      try client.send(request, body: [$0], into: .collect(limit: 64 << 10), cancellation)
    }
    let answer = AnswerText.line(response.body)
    guard response.isSuccess else {
      throw AlertError.refused(
        by: name, status: response.status, answer: answer, retryAfter: response.retryAfter)
    }
    return AlertReceipt(answer: answer.isEmpty ? "\(response.status)" : "\(response.status) \(answer)")
  }
}

/// What another program said, as part of a line of ours.
enum AnswerText {
  /// The first line that says something, at most 200 characters, without control characters.
  static func line(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
    let line = text.split(whereSeparator: \.isNewline).first { !$0.allSatisfy(\.isWhitespace) } ?? ""
    let visible = line.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }
    return String(String.UnicodeScalarView(visible).prefix(200))
  }
}
