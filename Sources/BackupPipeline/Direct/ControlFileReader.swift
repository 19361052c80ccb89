internal import BlockingWork
internal import Cryptography
internal import DurableFiles

/// Reads `global/pg_control` while the server may be writing it.
enum ControlFileReader {
  private static let attempts = 100
  /// Where the CRC-32C of all bytes before it lies: PostgreSQL 15 to 17, and 18.
  /// - SeeAlso: PostgreSQL source, `catalog/pg_control.h`, `ControlFileData`.
  private static let checksumOffsets = [288, 292]

  /// - Throws: `FileError`; ``PipelineError/controlFileTorn(_:)`` where it never fits its checksum.
  static func read(_ root: String, _ cancellation: Cancellation) throws -> [UInt8] {
    let path = root + "/" + DataDirectoryListing.controlFile
    for attempt in 0..<attempts {
      // The server writes it in one piece, but a reader may see half of that.
      if attempt > 0 { try cancellation.sleep(.milliseconds(10)) }
      let bytes = try DurableFile.read(path, limit: 65536)
      if fits(bytes) { return bytes }
    }
    throw PipelineError.controlFileTorn(path)
  }

  static func fits(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { all in
      checksumOffsets.contains { offset in
        all.count >= offset + 4
          && UInt32(littleEndian: all.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: all[..<offset]))
      }
    }
  }
}
