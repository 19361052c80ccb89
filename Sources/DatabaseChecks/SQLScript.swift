/// The statements of an SQL file, as PostgreSQL's own reader would part them.
///
/// - SeeAlso: PostgreSQL's manual, "Lexical Structure": strings, dollar quotes, nested comments.
public struct SQLScript: Sendable, Hashable {
  public struct Statement: Sendable, Hashable {
    /// Where it begins in the file, from 1.
    public var line: Int
    /// Without the semicolon at its end.
    public var text: String
  }

  public let statements: [Statement]

  /// - Throws: ``ChecksError`` where a quote is not closed, or a line is a command of psql.
  public init(_ text: String) throws(ChecksError) {
    var scanner = SQLScanner(Array(text.utf8))
    var statements: [Statement] = []
    while let statement = try scanner.next() { statements.append(statement) }
    self.statements = statements
  }
}

/// Walks over the bytes of a script; every byte that matters is ASCII, which is never part of a UTF-8 sequence.
private struct SQLScanner {
  private let bytes: [UInt8]
  private var position = 0
  private var line = 1
  private static let quote = UInt8(ascii: "'")
  private static let doubleQuote = UInt8(ascii: "\"")
  private static let backslash = UInt8(ascii: "\\")
  private static let dollar = UInt8(ascii: "$")

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private func byte(_ offset: Int = 0) -> UInt8? {
    bytes.indices.contains(position + offset) ? bytes[position + offset] : nil
  }

  private mutating func advance(_ count: Int = 1) {
    for _ in 0..<count where position < bytes.count {
      if bytes[position] == UInt8(ascii: "\n") { line += 1 }
      position += 1
    }
  }

  /// The next statement with anything in it but blanks and comments; nil at the end.
  mutating func next() throws(ChecksError) -> SQLScript.Statement? {
    var start: (position: Int, line: Int)?
    // Between BEGIN ATOMIC and its END semicolons belong to the body.
    var body = RoutineBody()
    while let current = byte() {
      if isBlank(current) {
        advance()
      } else if try skipComment() {
        continue
      } else if current == UInt8(ascii: ";"), !body.isOpen {
        defer { advance() }
        if let start { return statement(start) }
      } else {
        if start == nil {
          if current == Self.backslash { throw .commandOfPsql(line: line) }
          start = (position, line)
        }
        try skipToken(&body)
      }
    }
    return start.map(statement)
  }

  private func statement(_ start: (position: Int, line: Int)) -> SQLScript.Statement {
    var text = String(decoding: bytes[start.position..<position], as: UTF8.self)
    while text.last?.isWhitespace == true { text.removeLast() }
    return .init(line: start.line, text: text)
  }

  private mutating func skipToken(_ body: inout RoutineBody) throws(ChecksError) {
    let current = bytes[position]
    switch current {
    case Self.quote: try skipString(escapes: false)
    case Self.doubleQuote: try skipQuoted(Self.doubleQuote, escapes: false, "a quoted name")
    case Self.dollar: try skipDollarQuote()
    default:
      guard isWordStart(current) else { return advance() }
      let word = takeWord()
      body.take(word)
      // E'…' knows backslashes; the letter belongs to the string only where nothing lies between.
      if byte() == Self.quote { try skipString(escapes: word == "e") }
    }
  }

  private mutating func takeWord() -> String {
    let start = position
    while let next = byte(), isWordStart(next) || isDigit(next) || next == Self.dollar { advance() }
    return String(decoding: bytes[start..<position], as: UTF8.self).lowercased()
  }

  private mutating func skipString(escapes: Bool) throws(ChecksError) {
    try skipQuoted(Self.quote, escapes: escapes, "a string")
  }

  /// A doubled quote is one inside: it reads as the end and a new beginning.
  private mutating func skipQuoted(_ quote: UInt8, escapes: Bool, _ what: String) throws(ChecksError) {
    let began = line
    advance()
    while let current = byte() {
      if escapes, current == Self.backslash {
        advance(2)
      } else if current != quote {
        advance()
      } else if byte(1) == quote {
        advance(2)
      } else {
        return advance()
      }
    }
    throw .notClosed(what, line: began)
  }

  /// `$$…$$` or `$tag$…$tag$`; a dollar that begins neither is a parameter.
  private mutating func skipDollarQuote() throws(ChecksError) {
    var end = position + 1
    while end < bytes.count, isWordStart(bytes[end]) || (end > position + 1 && isDigit(bytes[end])) { end += 1 }
    guard end < bytes.count, bytes[end] == Self.dollar else { return advance() }
    let tag = bytes[position...end]
    let began = line
    advance(tag.count)
    while position < bytes.count {
      if byte() == Self.dollar, bytes[position...].starts(with: tag) { return advance(tag.count) }
      advance()
    }
    throw .notClosed("a dollar quote", line: began)
  }

  /// - Returns: Whether there was one. Comments in slashes and stars may hold others.
  private mutating func skipComment() throws(ChecksError) -> Bool {
    if byte() == UInt8(ascii: "-"), byte(1) == UInt8(ascii: "-") {
      while let current = byte(), current != UInt8(ascii: "\n") { advance() }
      return true
    }
    guard opensComment else { return false }
    let began = line
    var depth = 0
    repeat {
      if opensComment {
        depth += 1
        advance(2)
      } else if byte() == UInt8(ascii: "*"), byte(1) == UInt8(ascii: "/") {
        depth -= 1
        advance(2)
      } else if byte() == nil {
        throw .notClosed("a comment", line: began)
      } else {
        advance()
      }
    } while depth > 0
    return true
  }

  private var opensComment: Bool { byte() == UInt8(ascii: "/") && byte(1) == UInt8(ascii: "*") }
  private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
  private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private func isWordStart(_ byte: UInt8) -> Bool {
    (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F || byte >= 0x80
  }
}

/// `BEGIN ATOMIC … END` of a routine in standard SQL, with the CASEs that have an END of their own.
private struct RoutineBody {
  private var depth = 0
  private var last = ""
  var isOpen: Bool { depth > 0 }

  mutating func take(_ word: String) {
    if word == "atomic", last == "begin" {
      depth += 1
    } else if depth > 0, word == "case" {
      depth += 1
    } else if depth > 0, word == "end" {
      depth -= 1
    }
    last = word
  }
}
