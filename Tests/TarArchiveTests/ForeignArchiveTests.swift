import TestSupport
import Testing

@testable import TarArchive

#if canImport(Glibc)
  import Glibc
#endif

@Suite("Archives of other programs") struct ForeignArchiveTests {
  @Test("GNU tar's are read in each of its formats", arguments: ["gnu", "pax", "ustar"])
  func readsGNUTar(format: String) throws {
    try TemporaryDirectory.run { directory in
      // Too long for the name field; in ustar it must be divided at a slash.
      let long = "d/" + String(repeating: "long-directory-name-", count: 4) + "/" + String(repeating: "f", count: 80)
      try Program.succeed(
        "sh",
        [
          "-c",
          """
          mkdir -p in/d/\(long.split(separator: "/")[1]) && cd in && printf hello > a && : > empty && \
          seq 1 5000 > '\(long)' && ln -s /srv/x link && tar --format=\(format) -cf ../out.tar .
          """.replacing("mkdir -p in", with: "cd '\(directory)' && mkdir -p in"),
        ])
      let listing = try Listing(try read(directory + "/out.tar"))
      #expect(Set(listing.paths).isSuperset(of: [".", "a", "empty", "link", "d", long]))
      #expect(listing["a"]?.content == Array("hello".utf8))
      #expect(listing["link"]?.member.kind == .symbolicLink(target: "/srv/x"))
      let numbers = Array((1...5000).map { "\($0)\n" }.joined().utf8)
      #expect(listing[long]?.content == numbers)
    }
  }

  @Test(
    "Python's are read, with long names, long links and sizes above 8 GiB", arguments: ["GNU_FORMAT", "PAX_FORMAT"])
  func readsPythonTar(format: String) throws {
    try TemporaryDirectory.run { directory in
      let script = """
        import io, sys, tarfile
        t = tarfile.open(sys.argv[1], "w", format=tarfile.\(format))
        def add(name, data=b"", **fields):
            i = tarfile.TarInfo(name)
            i.size = len(data)
            for k, v in fields.items(): setattr(i, k, v)
            t.addfile(i, io.BytesIO(data))
        add("n/" * 120 + "leaf", b"x" * 700, mtime=1700000000.25)
        add("gr\\u00fc\\u00dfe", b"utf8")
        add("link", type=tarfile.SYMTYPE, linkname="/t" * 150)
        t.close()
        i = tarfile.TarInfo("huge"); i.size = 20 << 30
        open(sys.argv[1] + ".huge", "wb").write(i.tobuf(tarfile.\(format)))
        """
      try Program.succeed("python3", ["-c", script, directory + "/out.tar"])
      let listing = try Listing(try read(directory + "/out.tar"), piece: 97)
      let leaf = listing[String(repeating: "n/", count: 120) + "leaf"]
      #expect(leaf?.content.count == 700)
      #expect(leaf?.member.modified == 1_700_000_000)
      #expect(listing["grüße"]?.content == Array("utf8".utf8))
      #expect(listing["link"]?.member.kind == .symbolicLink(target: String(repeating: "/t", count: 150)))
      var sizes: [Int64] = []
      var parser = TarParser(archive: "huge.tar")
      try read(directory + "/out.tar.huge").withUnsafeBytes { bytes in
        try parser.consume(bytes) { if case .member(let member) = $0 { sizes.append(member.size) } }
      }
      #expect(sizes == [20 << 30])
    }
  }

  private func read(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      try #require(count >= 0)
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }
}
