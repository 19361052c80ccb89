internal import Cryptography

/// Text as it stands in a URL (RFC 3986).
public enum PercentEncoding {
  /// The query of a URL: names in order, everything encoded that is not unreserved.
  public static func query(_ query: [(name: String, value: String)]) -> String {
    query.map { (encoded($0.name), encoded($0.value)) }.sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }
      .joined(separator: "&")
  }

  /// Everything encoded but unreserved characters (RFC 3986, 2.3).
  /// - Parameter slash: Whether `/` stays, as in a path.
  public static func encoded(_ text: String, slash: Bool = false) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: result.unicodeScalars.append(.init(byte))
      case 0x2F where slash: result += "/"
      default: result += "%" + BytesText.hexadecimal([byte]).uppercased()
      }
    }
    return result
  }
}
