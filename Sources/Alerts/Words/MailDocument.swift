internal import BackupModel
internal import Foundation

/// A message as a mail: header, text and HTML, in bytes that any mail server takes.
/// - SeeAlso: RFC 5322 (form), RFC 2047 (subject), RFC 2046, 5.1.4 (alternative), RFC 3834 (Auto-Submitted).
struct MailDocument {
  let message: AlertMessage
  let context: AlertContext
  let sender: String
  let recipients: [String]

  /// Lines end with CRLF; none is longer than 998 bytes, and all bytes are ASCII.
  var bytes: [UInt8] {
    let text = AlertText(message: message, context: context)
    // Of the id, which no part can hold: they are base64.
    let boundary = "=_backupd_\(message.id)"
    var lines = header(text.subject)
    lines += ["MIME-Version: 1.0", "Content-Type: multipart/alternative;\r\n boundary=\"\(boundary)\"", ""]
    for (type, content) in [("text/plain", text.plain), ("text/html", text.html)] {
      lines += [
        "--\(boundary)", "Content-Type: \(type); charset=utf-8", "Content-Transfer-Encoding: base64", "",
      ]
      lines += Self.base64Lines(content)
    }
    lines += ["--\(boundary)--", ""]
    return Array(lines.joined(separator: "\r\n").utf8)
  }

  private func header(_ subject: String) -> [String] {
    var lines = [
      "Date: \(Self.date(message.created))", "From: backupd <\(sender)>",
      "To: \(recipients.joined(separator: ",\r\n "))", "Subject: \(Self.encodedWords(subject))",
      "Message-ID: \(identifier(message.id))",
    ]
    var threads: [AlertMessageID] = []
    for thread in message.items.compactMap(\.thread) where thread != message.id && !threads.contains(thread) {
      threads.append(thread)
    }
    if !threads.isEmpty {
      // Of a storm's end a few threads are enough.
      let list = threads.prefix(20).map(identifier).joined(separator: "\r\n ")
      lines += ["In-Reply-To: \(list)", "References: \(list)"]
    }
    // No holiday answers to a daemon.
    lines += ["Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"]
    if message.severity == .critical, message.items.contains(where: { $0.change != .resolved }) {
      lines += ["X-Priority: 1", "Importance: high"]
    }
    return lines
  }

  /// The same for the same message and sender, however often it is sent and after any restart.
  private func identifier(_ id: AlertMessageID) -> String {
    let domain = sender.split(separator: "@").last.map(String.init) ?? "localhost"
    return "<\(id).backupd@\(domain)>"
  }

  /// `Fri, 27 Nov 2026 03:00:00 +0000`
  static func date(_ time: Timestamp) -> String {
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let civil = time.civil
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(days[civil.weekday]), \(civil.day) \(months[civil.month - 1]) \(civil.year) "
      + "\(two(civil.hour)):\(two(civil.minute)):\(two(civil.second)) +0000"
  }

  /// A header's text: as it is where it is short ASCII, otherwise as encoded words of whole characters, a line each.
  static func encodedWords(_ text: String) -> String {
    let line = String(text.map { $0.isNewline ? " " : $0 })
    let isPlain = line.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !line.contains("=?")
    if isPlain, line.utf8.count <= 66 { return line }
    // 76 characters a line (RFC 2047, 2), of which 9 name the header and 12 are around the base64: 39 bytes make 52.
    var words: [String] = []
    var word: [UInt8] = []
    for scalar in line.unicodeScalars {
      let bytes = Array(String(scalar).utf8)
      if word.count + bytes.count > 39 {
        words.append(Data(word).base64EncodedString())
        word = []
      }
      word += bytes
    }
    words.append(Data(word).base64EncodedString())
    return words.map { "=?UTF-8?B?\($0)?=" }.joined(separator: "\r\n ")
  }

  private static func base64Lines(_ text: String) -> [String] {
    // What is shown to people has CRLF at the ends of lines (RFC 2046, 4.1.1).
    let content = text.replacingOccurrences(of: "\n", with: "\r\n")
    let encoded = Array(Data(content.utf8).base64EncodedString().utf8)
    return stride(from: 0, to: encoded.count, by: 76).map {
      String(decoding: encoded[$0..<min($0 + 76, encoded.count)], as: UTF8.self)
    }
  }
}
