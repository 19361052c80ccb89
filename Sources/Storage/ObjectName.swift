/// The name of an object: components joined by `/`, the same in every store.
public struct ObjectName: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let text: String

  /// - Parameter text: Components of ASCII letters, digits, `.`, `-` and `_`, none of them empty, `.` or `..`.
  public init?(_ text: String) {
    let parts = text.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
    func allowed(_ byte: UInt8) -> Bool {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
      default: false
      }
    }
    for part in parts {
      guard !part.isEmpty, part.allSatisfy(allowed), !part.elementsEqual([0x2E]), !part.elementsEqual([0x2E, 0x2E])
      else { return nil }
    }
    self.text = text
  }

  /// For names that the program composes of checked parts.
  public init(composed text: String) {
    self.text = text
    assert(ObjectName(text) != nil, text)
  }

  public func appending(_ component: String) -> ObjectName { ObjectName(composed: text + "/" + component) }

  /// What follows the last `/`.
  public var lastComponent: String { String(text.utf8.split(separator: 0x2F).last.map(Substring.init) ?? "") }
  public var description: String { text }
  public static func < (a: Self, b: Self) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }
}
