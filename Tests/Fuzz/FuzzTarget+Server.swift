import BackupModel
import Foundation

@testable import Postgres
@testable import TarArchive
@testable import WALArchiving

/// What PostgreSQL sends.
extension FuzzTarget {
  static var ofServer: [FuzzTarget] { [messages, tar, wal] }

  private struct Refused: Error {}

  private static let messages = FuzzTarget(
    "messages",
    seeds: [
      Array("k".utf8) + [UInt8](repeating: 1, count: 17), Array("w".utf8) + [UInt8](repeating: 1, count: 30),
      Array("nbase.tar\u{0}\u{0}".utf8), Array("p".utf8) + [UInt8](repeating: 0, count: 8),
    ]
  ) { bytes in
    try bytes.withUnsafeBytes { bytes in
      var parser = BaseBackupStream.MessageParser()
      let event = parser.event(bytes)
      guard event != nil || WALStream.parse(bytes) != nil else { throw Refused() }
    }
  }

  /// A first byte says in pieces of which length the rest comes.
  private static let tar: FuzzTarget = {
    let made = Process()
    let pipe = Pipe()
    made.executableURL = URL(filePath: "/bin/tar")
    made.arguments = ["-C", "/etc", "--format=pax", "-cf", "-", "hostname", "alternatives/awk"]
    made.standardOutput = pipe
    var seed: [UInt8] = []
    if (try? made.run()) != nil { seed = Array(pipe.fileHandleForReading.readDataToEndOfFile()) }
    return FuzzTarget("tar", seeds: [[255] + seed]) { bytes in
      var parser = TarParser(archive: "fuzz.tar")
      let size = max(1, Int(bytes.first ?? 1))
      let rest = bytes.dropFirst()
      for start in stride(from: rest.startIndex, to: rest.endIndex, by: size) {
        try Array(rest[start..<min(start + size, rest.endIndex)]).withUnsafeBytes { try parser.consume($0) { _ in } }
      }
      try parser.finish()
    }
  }()

  /// The long header with which a segment of PostgreSQL 15 begins, and the head of a record.
  /// - SeeAlso: PostgreSQL source, `xlog_internal.h`, `xlogrecord.h`.
  private static let firstPage: [UInt8] = {
    func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let page: [[UInt8]] = [
      bytes(UInt16(0xD110)), bytes(UInt16(2)), bytes(UInt32(1)), bytes(UInt64(16 << 20)), bytes(UInt64(0)),
      bytes(UInt64(7)), bytes(UInt32(16 << 20)), bytes(UInt32(8192)),
    ]
    let record: [[UInt8]] = [bytes(UInt32(30)), bytes(UInt32(5)), bytes(UInt64(0)), [0, 1, 0, 0], bytes(UInt32(0))]
    let used = (page + record).flatMap { $0 }
    return used + [UInt8](repeating: 0, count: 8192 - used.count)
  }()

  private static let wal: FuzzTarget = {
    let start = WALPosition(timeline: TimelineID(1), lsn: LSN(16 << 20))
    return FuzzTarget("wal", seeds: [firstPage]) { bytes in
      var decoder = WALRecordDecoder(from: start, segmentSize: .standard, systemIdentifier: nil)
      do { try decoder.feed(bytes) } catch {}
      _ = decoder.takeIndex()
    }
  }()
}
