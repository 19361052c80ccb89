import BackupModel
import Checksums
import Cryptography
import Foundation
import TestSupport
import Testing

@testable import BackupPipeline

@Suite("The server's manifest") struct ServerManifestTests {
  private struct Entry: Equatable { var size: UInt64, checksum: UInt32? }

  /// The files a manifest names, read in pieces of any length.
  private func read(_ manifest: [UInt8]) throws -> [String: Entry] {
    var check = ServerManifestCheck(cluster: ClusterID(unchecked: "oauth"))
    var entries: [String: Entry] = [:]
    var rest = manifest[...]
    while !rest.isEmpty {
      let piece = rest.prefix(Int.random(in: 1...500))
      try piece.withUnsafeBytes { bytes in
        try check.consume(bytes) { entries[$0] = Entry(size: $1, checksum: $2) }
      }
      rest = rest.dropFirst(piece.count)
    }
    return entries
  }

  @Test("is read with every path it can hold, and agrees with the files", arguments: [15, 17, 18])
  func realManifests(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      let names = [
        "with space", "quote\"d", "back\\slash", "tab\there", "new\nline", "bell\u{7}", "ünï", "\u{301}combining",
        "\\\"Size\\\": 1", "Path\": \"x", "end\\",
      ]
      for name in names {
        let path = "\(server.dataDirectory)/\(name)"
        try Data(name.utf8).write(to: URL(fileURLWithPath: path))
        try ProgramUser.postgres.own(path)
      }
      let target = server.workDirectory + "/copy"
      try Program.succeed(
        server.installation.program("pg_basebackup"),
        ["-d", server.connection, "-D", target, "-X", "none", "-c", "fast", "--manifest-checksums=CRC32C"],
        as: .postgres)
      let manifest = Array(try Data(contentsOf: URL(fileURLWithPath: target + "/backup_manifest")))
      let entries = try read(manifest)
      #expect(entries.count > 900 && names.allSatisfy { entries[$0] != nil })
      var files = ReceivedFiles()
      for (path, entry) in entries {
        let content = try Data(contentsOf: URL(fileURLWithPath: "\(target)/\(path)"))
        let checksum = content.withUnsafeBytes { CRC32C.checksum($0) }
        #expect(entry == Entry(size: UInt64(content.count), checksum: checksum), "\(path)")
        files.note(path, size: UInt64(content.count), checksum: checksum)
      }
      files.sort()
      let cluster = ClusterID(unchecked: "oauth")
      for (path, entry) in entries.prefix(50) {
        try files.check(path, size: entry.size, checksum: entry.checksum, cluster: cluster)
        #expect { try files.check(path, size: entry.size, checksum: entry.checksum! ^ 1, cluster: cluster) } throws: {
          if case PipelineError.checksumDiffers = $0 { true } else { false }
        }
        #expect { try files.check(path, size: entry.size + 1, checksum: nil, cluster: cluster) } throws: {
          if case PipelineError.sizeDiffers = $0 { true } else { false }
        }
        #expect { try files.check(path + "x", size: entry.size, checksum: nil, cluster: cluster) } throws: {
          if case PipelineError.fileMissing = $0 { true } else { false }
        }
      }
    }
  }

  @Test("is read with a path in hexadecimal, and refused where a line is not understood")
  func forms() throws {
    func line(_ text: String) throws -> [String: Entry] { try read(Array((text + "\n").utf8)) }
    let rest = "\"Size\": 7, \"Last-Modified\": \"2026-11-02 03:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", "
    #expect(
      try line("{ \"Encoded-Path\": \"6162ff\", \(rest)\"Checksum\": \"01020304\" },")
        == ["ab\u{FFFD}": Entry(size: 7, checksum: 0x0403_0201)])
    #expect(
      try line("{ \"Path\": \"a\", \"Size\": 7, \"Last-Modified\": \"x\" }") == ["a": Entry(size: 7, checksum: nil)])
    #expect(try line("\"Manifest-Checksum\": \"00\"}").isEmpty)
    for wrong in [
      "{ \"Path\": \"a\" }", "{ \"Path\": \"a", "{ \"Path\": \"a\\", "{ \"Path\": \"\\u00\", \(rest)}",
      "{ \"Encoded-Path\": \"6\", \(rest)}", "{ \"Encoded-Path\": \"zz\", \(rest)}", "{ \"Path\": 7, \(rest)}",
      "{ \"Path\": \"a\", \"Size\": x }", "{ \"Path\": \"a\", \"Size\": 99999999999999999999 }",
      "{ \"Path\": \"a\", \(rest)\"Checksum\": \"1\" }", String(repeating: "x", count: 2 << 20),
    ] {
      #expect(throws: PipelineError.self, "\(wrong.prefix(60))") { try line(wrong) }
    }
  }

  @Test("takes any bytes without trapping")
  func anyBytes() {
    let good = Array(
      "{ \"Path\": \"a\\\\b\\u0007\", \"Size\": 7, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"01020304\" },\n"
        .utf8)
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4) { bytes[Int.random(in: bytes.indices)] = .random(in: 0...255) }
      bytes.removeLast(Int.random(in: 0...3))
      _ = try? read(bytes + [0x0A])
    }
  }
}

@Suite("Relation files") struct RelationFileTests {
  @Test(
    "are known by their paths, with the number of their first block",
    arguments: [
      ("base/5/1259", 0), ("global/1262", 0), ("base/5/1259_fsm", 0), ("base/5/1259_vm", 0), ("base/5/1259_init", 0),
      ("base/5/1259.1", 131_072), ("base/5/1259_fsm.3", 393_216),
      ("pg_tblspc/16385/PG_15_202209061/5/16390.2", 262_144),
      ("base/5/PG_VERSION", nil), ("base/5/pg_filenode.map", nil), ("base/5/1259.x", nil), ("base/5/1259.1.2", nil),
      ("base/5/t3_1259", nil), ("base/5/1259_old", nil), ("base/pgsql_tmp/pgsql_tmp1.0", nil), ("pg_xact/0000", nil),
      ("global/pg_control", nil), ("base/5/", nil), ("base/5/1259.4294967295", nil), ("1259", nil),
      ("base/5/_fsm", nil),
    ] as [(String, UInt32?)])
  func firstBlock(path: String, block: UInt32?) { #expect(RelationFile.firstBlock(path) == block) }
}
