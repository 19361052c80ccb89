/// The head of an HTTP request, as far as a server of one page has to know it.
/// - SeeAlso: RFC 9112, section 2.
enum RequestHead: Equatable, Sendable {
  /// More bytes are needed.
  case incomplete
  /// The page is asked for; `HEAD` asks for all but the page itself.
  case page(withBody: Bool)
  /// It is answered by a status and a few words.
  case refused(Int, String)

  /// Bytes of a head, request line and headers.
  static let limit = 8192

  init(_ bytes: [UInt8]) {
    guard let end = Self.end(bytes.prefix(Self.limit)) else {
      self = bytes.count >= Self.limit ? .refused(431, "Request Header Fields Too Large") : .incomplete
      return
    }
    var lines = bytes[..<end].split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
      line.last == 0x0D ? line.dropLast() : line
    }
    while lines.last?.isEmpty == true { lines.removeLast() }
    guard let first = lines.first, lines.dropFirst().allSatisfy(Self.isHeader) else {
      self = .refused(400, "Bad Request")
      return
    }
    self = Self.read(first)
  }

  /// After the empty line; nil where it has not come yet.
  private static func end(_ bytes: ArraySlice<UInt8>) -> Int? {
    var previous: Int?
    for (index, byte) in bytes.enumerated() where byte == 0x0A {
      // Between two ends of line there is nothing, or a carriage return.
      if let previous, index - previous == 1 || (index - previous == 2 && bytes[bytes.startIndex + index - 1] == 0x0D) {
        return index + 1
      }
      previous = index
    }
    return nil
  }

  private static func isHeader(_ line: ArraySlice<UInt8>) -> Bool {
    guard let colon = line.firstIndex(of: 0x3A), colon > line.startIndex else { return false }
    let isName = line[..<colon].allSatisfy { (0x21...0x7E).contains($0) }
    return isName && line[colon...].allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  private static func read(_ line: ArraySlice<UInt8>) -> RequestHead {
    let words = line.split(separator: 0x20, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard words.count == 3, line.allSatisfy({ (0x20...0x7E).contains($0) }), words[1].hasPrefix("/"),
      words[2].hasPrefix("HTTP/")
    else { return .refused(400, "Bad Request") }
    guard ["HTTP/1.0", "HTTP/1.1"].contains(words[2]) else { return .refused(505, "HTTP Version Not Supported") }
    guard ["GET", "HEAD"].contains(words[0]) else { return .refused(405, "Method Not Allowed") }
    guard words[1].prefix(while: { $0 != "?" }) == "/metrics" else { return .refused(404, "Not Found") }
    return .page(withBody: words[0] == "GET")
  }
}
