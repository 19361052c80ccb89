import FoundationEssentials

/// `docs/performance.md`, of which soak tests write what they measured.
enum PerformancePage {
  /// Replaces what is between `<!-- name:begin -->` and `<!-- name:end -->`.
  static func replace(_ name: String, _ text: String, source: String = #filePath) throws {
    let root = URL(filePath: source).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let path = root.path + "/docs/performance.md"
    var page = try String(contentsOfFile: path, encoding: .utf8)
    guard let begin = page.firstRange(of: "<!-- \(name):begin -->\n"),
      let end = page.firstRange(of: "<!-- \(name):end -->")
    else { throw EndToEndError.unexpected("\"\(path)\" has no markers \"\(name)\"") }
    page.replaceSubrange(begin.upperBound..<end.lowerBound, with: text + "\n")
    try page.write(toFile: path, atomically: false, encoding: .utf8)
  }
}
