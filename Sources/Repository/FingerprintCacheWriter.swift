internal import BackupModel
internal import Cryptography
internal import DurableFiles
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a fingerprint cache beside the one in use. Used under its owner's lock.
///
/// It is derived state: where it cannot be written, the backup goes on without, and the next one stores every page.
final class FingerprintCacheWriter {
  private static let bufferSize = 1 << 20

  let path: String
  private let file: Descriptor
  private var buffer: [UInt8] = []
  private var position: UInt64 = 0
  private var index: [(hash: UInt64, offset: UInt64)] = []
  /// Why it cannot be written; nothing is written any more then.
  private(set) var failure: ErrorReport?

  /// - Parameter path: Made anew.
  init(path: String) throws {
    self.path = path
    try DurableFile.makeDirectory(DurableFile.parent(of: path))
    file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC)
    buffer.reserveCapacity(Self.bufferSize + (1 << 16))
  }

  /// - Returns: Where they lie, and their checksum.
  func append(_ fingerprints: ArraySlice<Fingerprint>) -> (offset: UInt64, checksum: UInt32) {
    fingerprints.withUnsafeBytes { bytes in
      let place = (offset: position + UInt64(buffer.count), checksum: CRC32C.checksum(bytes))
      append(bytes)
      return place
    }
  }

  func append(_ entry: FingerprintCache.Entry) {
    index.append((FingerprintCache.hash(entry.path), position + UInt64(buffer.count)))
    FingerprintCache.encode(entry).withUnsafeBytes { append($0) }
  }

  private func append(_ bytes: UnsafeRawBufferPointer) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferSize { flush() }
  }

  private func flush() {
    defer {
      position += UInt64(buffer.count)
      buffer.removeAll(keepingCapacity: true)
    }
    guard failure == nil else { return }
    do {
      try buffer.withUnsafeBytes { try file.writeAll($0) }
    } catch {
      failure = ErrorReport(error)
    }
  }

  /// Writes the index and makes the file durable. It is used once it has its name, see ``FingerprintCaches``.
  func finish(_ description: FingerprintCache.Description, _ usage: PackUsage) throws {
    flush()
    let tailOffset = position
    index.sort { ($0.hash, $0.offset) < ($1.hash, $1.offset) }
    var tail = ByteWriter()
    for entry in index { tail.append(entry.hash) }
    for entry in index { tail.append(entry.offset) }
    let usageStart = tail.bytes.count
    usage.encode(into: &tail)
    let usageLength = tail.bytes.count - usageStart
    let text = Array(try JSONEncoder().encode(description))
    tail.append(text)
    var rest = ByteWriter()
    rest.append(tailOffset)
    rest.append(UInt64(index.count))
    rest.append(UInt64(usageLength))
    rest.append(UInt64(text.count))
    rest.append(tail.bytes.withUnsafeBytes { CRC32C.checksum($0) })
    rest.append([UInt8](repeating: 0, count: FingerprintCache.footerSize - 12 - rest.bytes.count))
    tail.append(FingerprintCache.magic)
    tail.append(rest.bytes.withUnsafeBytes { CRC32C.checksum($0) })
    tail.append(rest.bytes)
    buffer = tail.bytes
    flush()
    index = []
    if let failure { throw Unwritable(report: failure) }
    try file.sync()
  }

  struct Unwritable: OperatorError {
    let report: ErrorReport
    var summary: String { report.summary }
    var detail: String? { report.detail }
    var hint: String? { report.hint }
  }
}
