import Testing
import Transfer

@Suite("XML from a server") struct XMLElementTests {
  @Test("is read with its nesting, its entities and without its namespaces")
  func reads() throws {
    let text = """
      <?xml version="1.0" encoding="UTF-8"?>
      <!-- a comment with <tags> -->
      <s:List xmlns:s="http://s3.amazonaws.com/doc/"><Name>a&amp;b &#x41;&#66; &unknown; &lt;</Name><Empty/>
      <Contents><Key>x</Key></Contents><Contents><Key>y</Key></Contents></s:List>
      """
    let root = try #require(XMLElement.parse(Array(text.utf8)))
    #expect(root.name == "List" && root.child("Name")?.text == "a&b AB &unknown; <")
    #expect(root.children("Contents").compactMap { $0.child("Key")?.text } == ["x", "y"])
    #expect(root.child("Empty") == XMLElement(name: "Empty"))
  }

  @Test("that is broken is none, whatever bytes come")
  func broken() {
    for text in ["", "<", "<a", "<a>", "<a></b>", "</a>", "<a><b></a></b>", "text", "<!--", "<>", "< >"] {
      #expect(XMLElement.parse(Array(text.utf8)) == nil, "\(text)")
    }
    #expect(XMLElement.parse(Array(String(repeating: "<a>", count: 100_000).utf8)) == nil)
    var generator = SystemRandomNumberGenerator()
    let good = Array("<a><b>text&amp;</b><!-- c --><d e=\"f\"/></a>".utf8)
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        if Bool.random(using: &generator) {
          bytes[index] = UInt8.random(in: 0...255, using: &generator)
        } else {
          bytes.remove(at: index)
        }
      }
      // Any answer is right that is given: it must not crash or hang.
      _ = XMLElement.parse(bytes)
    }
  }
}
