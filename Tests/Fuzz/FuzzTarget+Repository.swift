import BackupModel
import Foundation

@testable import Recovery
@testable import Repository

/// What lies in stores. Most of it is sealed: these are the parsers behind the seal, which must stand it all the same.
extension FuzzTarget {
  static var ofRepository: [FuzzTarget] { [manifest, entries, maps, table, walIndex, marks] }

  private static func reading(_ bytes: [UInt8], _ body: (inout ByteReader) throws -> Void) rethrows {
    try bytes.withUnsafeBytes {
      var reader = ByteReader($0)
      try body(&reader)
    }
  }

  private static let backup = BackupID(started: .now())

  private static let manifest: FuzzTarget = {
    var header = ManifestHeader(
      id: backup, cluster: ClusterID(unchecked: "main"), systemIdentifier: SystemIdentifier(7), kind: .logical,
      job: JobID(unchecked: "nightly"), run: nil, sequence: 3, started: .now())
    header.dump = .init(
      database: "d", program: "pg_dump 15", selection: ["--table=a"], snapshot: .now(), globals: true)
    header.warnings = ["something"]
    header.parts = [.random()]
    let text = (try? JSONEncoder().encode(header)) ?? Data()
    return FuzzTarget("manifest", seeds: [Array(text)]) { bytes in
      let header = try JSONDecoder().decode(ManifestHeader.self, from: Data(bytes))
      _ = header.backup(stores: [], missingStores: [])
    }
  }()

  private static let reference = PageMapReference(metadataPack: .random(), frame: 1, offset: 2, length: 3)

  private static let entries: FuzzTarget = {
    var files = ByteWriter()
    ManifestFile(path: "base/1/2", kind: .file, mode: 0o600, modified: 5, size: 16384, pageMap: reference)
      .encode(into: &files)
    ManifestFile(path: "pg_tblspc/1", kind: .symlink, mode: 0o777, modified: 5, linkTarget: "/srv")
      .encode(into: &files)
    var packs = ByteWriter()
    ManifestHeader.LivePack(pack: .random(), kind: .pack, size: 5, liveBytes: 4).encode(into: &packs)
    // The first byte says which of the two follows.
    return FuzzTarget("entries", seeds: [[0] + files.bytes, [1] + packs.bytes]) { bytes in
      try reading(Array(bytes.dropFirst())) { reader in
        while reader.remaining > 0 {
          if bytes[0] == 0 {
            let file = try ManifestFile(decoding: &reader)
            precondition(file.isReadable && file.pages < 1 << 32)
          } else {
            _ = try ManifestHeader.LivePack(decoding: &reader)
          }
        }
      }
    }
  }()

  private static let maps: FuzzTarget = {
    let location = FrameLocation(number: 2, offset: 64, sealedLength: 9000, plainLength: 16384)
    var pages = PageMap()
    pages.packs = [.random()]
    pages.frames = [.init(pack: 0, location: location)]
    pages.runs = [.init(firstPage: 0, count: 2, frame: 0, slot: 0)]
    var pieces = PieceMap()
    (pieces.packs, pieces.frames) = (pages.packs, pages.frames)
    pieces.append(frame: 0, offset: 10, length: 20)
    var first = ByteWriter()
    pages.encode(into: &first)
    var second = ByteWriter()
    pieces.encode(into: &second)
    return FuzzTarget("maps", seeds: [[0] + first.bytes, [1] + second.bytes]) { bytes in
      try reading(Array(bytes.dropFirst())) { reader in
        if bytes.first == 0 {
          let map = try PageMap(decoding: &reader)
          // What covers a file is consistent, too.
          precondition(!map.covers(pages: 2) || map.isConsistent)
        } else {
          _ = try PieceMap(decoding: &reader).covers(bytes: 20)
        }
      }
    }
  }()

  private static let table: FuzzTarget = {
    var table = ByteWriter()
    for number in 0..<UInt32(2) {
      table.append(64 + number * 500)
      table.append(UInt32(500))
      table.append(UInt32(8192))
      table.append(FrameRole.pages.rawValue)
      table.append(UInt8(1))
      table.append(UInt16(0))
    }
    for _ in 0..<4 { table.append(UInt64.random(in: 0 ... .max)) }
    return FuzzTarget("table", seeds: [[2] + table.bytes]) { bytes in
      let found = try SealedObjectReader.decodeTable(
        Array(bytes.dropFirst()), frameCount: Int(bytes.first ?? 0), tableOffset: 1 << 20)
      for frame in found.frames { _ = found.fingerprints[frame.fingerprints] }
    }
  }()

  private static let walIndex: FuzzTarget = {
    var index = WALIndex(timeline: TimelineID(3), first: LSN(0x1000000), end: LSN(0x2000000))
    index.entries = [
      .init(outcome: .commit, xid: 5, time: Timestamp(microseconds: 10), start: LSN(0xFFFF00), end: LSN(0x1000020))
    ]
    index.restorePoints = [
      .init(name: "naïve", time: Timestamp(microseconds: 7), start: LSN(0x1000080), end: LSN(0x10000F0))
    ]
    return FuzzTarget("wal-index", seeds: [index.encoded()]) { bytes in
      let index = try WALIndex(decoding: bytes)
      _ = (index.commits, index.aborts)
    }
  }()

  /// Marks in directories that restores and drills write into.
  private static let marks = FuzzTarget(
    "marks",
    text: [#"{"format": 1, "job": "drill", "cluster": "main", "pid": 5, "started": "2026-11-26T12:00:00Z"}"#]
  ) { bytes in
    _ = try? JSONDecoder().decode(RestoreMarker.self, from: Data(bytes))
    _ = try JSONDecoder().decode(ScratchDirectory.Marker.self, from: Data(bytes))
  }
}
