/// An element of a small XML document: what S3 answers with. Attributes, comments and declarations are passed over.
public struct XMLElement: Sendable, Equatable {
  public var name: String
  /// Text of the element itself, without its children's.
  public var text = ""
  public var children: [XMLElement] = []

  public init(name: String) { self.name = name }

  public func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
  public func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

  /// - Returns: The root; nil for what is not well-formed, or nested more than 32 deep.
  public static func parse(_ bytes: [UInt8]) -> XMLElement? {
    var parser = Parser(bytes: bytes)
    return parser.document()
  }

  private struct Parser {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() -> XMLElement? {
      var open: [XMLElement] = []
      var text: [UInt8] = []
      while position < bytes.count {
        guard bytes[position] == UInt8(ascii: "<") else {
          text.append(bytes[position])
          position += 1
          continue
        }
        guard let tag = tag() else { return nil }
        switch tag {
        case .other: continue
        case .begin(let name, let isEmpty):
          if !open.isEmpty { open[open.count - 1].text += Self.decoded(text) }
          text = []
          guard open.count < 32 else { return nil }
          open.append(XMLElement(name: name))
          if !isEmpty { continue }
        case .end(let name):
          guard open.last?.name == name else { return nil }
          open[open.count - 1].text += Self.decoded(text)
          text = []
        }
        let done = open.removeLast()
        if open.isEmpty { return done }
        open[open.count - 1].children.append(done)
      }
      return nil
    }

    private enum Tag {
      case begin(String, isEmpty: Bool)
      case end(String)
      case other
    }

    private mutating func tag() -> Tag? {
      if starts(with: "<!--") { return skip(past: "-->") }
      if starts(with: "<?") { return skip(past: "?>") }
      if starts(with: "<!") { return skip(past: ">") }
      guard let close = bytes[position...].firstIndex(of: UInt8(ascii: ">")) else { return nil }
      var content = bytes[(position + 1)..<close]
      position = close + 1
      let isEnd = content.first == UInt8(ascii: "/")
      if isEnd { content = content.dropFirst() }
      let isEmpty = content.last == UInt8(ascii: "/")
      if isEmpty { content = content.dropLast() }
      let word = content.prefix { $0 > 0x20 }
      // A prefix names a namespace, of which there is one.
      let name = String(decoding: word.split(separator: UInt8(ascii: ":")).last ?? [], as: UTF8.self)
      if name.isEmpty { return nil }
      return isEnd ? .end(name) : .begin(name, isEmpty: isEmpty)
    }

    private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private mutating func skip(past text: String) -> Tag? {
      let end = Array(text.utf8)
      while position + end.count <= bytes.count {
        if bytes[position..<(position + end.count)].elementsEqual(end) {
          position += end.count
          return .other
        }
        position += 1
      }
      return nil
    }

    private static func decoded(_ bytes: [UInt8]) -> String {
      let text = String(decoding: bytes, as: UTF8.self)
      guard text.contains("&") else { return text }
      var result = ""
      var rest = text[...]
      while let start = rest.firstIndex(of: "&") {
        result += rest[..<start]
        rest = rest[start...]
        guard let end = rest.firstIndex(of: ";"), let character = character(rest[rest.index(after: start)..<end]) else {
          result += "&"
          rest = rest.dropFirst()
          continue
        }
        result.append(character)
        rest = rest[rest.index(after: end)...]
      }
      return result + rest
    }

    private static func character(_ name: Substring) -> Character? {
      switch name {
      case "amp": return "&"
      case "lt": return "<"
      case "gt": return ">"
      case "quot": return "\""
      case "apos": return "'"
      default:
        guard name.hasPrefix("#") else { return nil }
        let number = name.dropFirst()
        let value = number.hasPrefix("x") ? UInt32(number.dropFirst(), radix: 16) : UInt32(number)
        return value.flatMap(Unicode.Scalar.init).map(Character.init)
      }
    }
  }
}
