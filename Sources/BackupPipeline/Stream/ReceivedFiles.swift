internal import BackupModel

/// What arrived, in 24 bytes a file: for the comparison with the server's manifest at the stream's end.
struct ReceivedFiles {
  private struct Entry {
    var pathHash: UInt64
    var size: UInt64
    var checksum: UInt32
  }
  private var entries: [Entry] = []

  mutating func note(_ path: String, size: UInt64, checksum: UInt32) {
    entries.append(Entry(pathHash: Self.hash(path), size: size, checksum: checksum))
  }

  /// To be called before ``check(_:size:checksum:cluster:)``.
  mutating func sort() { entries.sort { $0.pathHash < $1.pathHash } }

  /// - Throws: ``PipelineError`` where the server sent a file otherwise than it arrived, or it did not arrive.
  func check(_ path: String, size: UInt64, checksum: UInt32?, cluster: ClusterID) throws {
    let wanted = Self.hash(path)
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].pathHash < wanted { low = middle + 1 } else { high = middle }
    }
    guard low < entries.count, entries[low].pathHash == wanted else {
      throw PipelineError.fileMissing(path, cluster)
    }
    // Two paths of one hash are all but impossible; either entry may then be the one.
    let candidates = entries[low...].prefix { $0.pathHash == wanted }
    if candidates.contains(where: { $0.size == size && (checksum == nil || $0.checksum == checksum) }) { return }
    let found = candidates.first!
    if found.size != size { throw PipelineError.sizeDiffers(path: path, server: size, received: found.size) }
    throw PipelineError.checksumDiffers(
      path: path, server: Self.digits(checksum ?? 0), received: Self.digits(found.checksum))
  }

  private static func digits(_ checksum: UInt32) -> String {
    Hexadecimal.padded(UInt64(checksum.byteSwapped), digits: 8)
  }

  /// FNV-1a.
  private static func hash(_ path: String) -> UInt64 {
    path.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }
}
