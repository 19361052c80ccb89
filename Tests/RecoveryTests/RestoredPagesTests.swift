import BackupModel
import FoundationEssentials
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("The page checksums of a restored cluster") struct RestoredPagesTests {
  private func look(_ pages: RestoredPages, at bytes: Data, of file: String) {
    let entry = ManifestFile(
      path: "base/5/16384.1", kind: .file, mode: 0o600, modified: 0, size: UInt64(bytes.count), checksum: 0)
    let assembly = FileAssembly(path: file, entry: entry)
    bytes.withUnsafeBytes { pages.look(at: $0, of: assembly, firstPage: 0, firstBlock: 0) }
  }

  @Test("are verified as pages are written, and those that do not fit once more in what the server left")
  func verified() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i, repeat('x', 100) from generate_series(1, 20000) i")
      let path = server.dataDirectory + "/" + (try server.psql("select pg_relation_filepath('t')"))
      try server.stop()
      let sound = try Data(contentsOf: URL(filePath: path))
      let count = sound.count / 8192
      var torn = sound
      torn[3 * 8192 + 5000] ^= 1
      torn[7 * 8192 + 100] ^= 1

      let all = RestoredPages()
      look(all, at: sound, of: path)
      #expect(!all.hasSuspects)
      #expect(try all.judge() == CheckResult(name: "page checksums", value: "\(count)"))

      // What was read while it was being written is whole in the server's own file.
      let repaired = RestoredPages()
      look(repaired, at: torn, of: path)
      #expect(repaired.hasSuspects)
      #expect(try repaired.judge() == CheckResult(name: "page checksums", value: "\(count)"))

      try torn.write(to: URL(filePath: path))
      let damaged = try repaired.judge()
      #expect(damaged.verdict == .critical && damaged.value == "\(count)")
      let named = [3, 7].map { "block \($0) of \"base/5/16384.1\"" }.joined(separator: ", ")
      #expect(damaged.message == "2 pages do not fit theirs, such as \(named).")

      // Replay made the file shorter, then dropped it.
      try torn.prefix(7 * 8192).write(to: URL(filePath: path))
      #expect(try repaired.judge().message?.hasPrefix("1 pages") == true)
      try FileManager.default.removeItem(atPath: path)
      #expect(try repaired.judge().verdict == .ok)
    }
  }

  @Test("are of the block's number too, and of whole pages alone") func places() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i from generate_series(1, 2000) i")
      let path = server.dataDirectory + "/" + (try server.psql("select pg_relation_filepath('t')"))
      try server.stop()
      let bytes = try Data(contentsOf: URL(filePath: path))
      let exchanged = Data(bytes[8192..<16384] + bytes[..<8192] + bytes[16384...] + [1, 2, 3])
      try exchanged.write(to: URL(filePath: path))
      let pages = RestoredPages()
      look(pages, at: exchanged, of: path)
      let result = try pages.judge()
      #expect(result.message?.hasPrefix("2 pages") == true && result.value == "\(bytes.count / 8192)")
    }
  }
}
