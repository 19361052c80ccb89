internal import BackupModel

/// The entries of a manifest being written: encoded one after another in one array, sorted at the end.
///
/// A million files need no million objects: an entry costs its encoded bytes and 12 more.
public struct FileTable: Sendable {
  private var bytes = ByteWriter()
  private var offsets: [UInt32] = []
  public private(set) var count = 0

  public init() {}

  public mutating func append(_ file: ManifestFile) {
    offsets.append(UInt32(bytes.bytes.count))
    file.encode(into: &bytes)
    count += 1
  }

  /// Sorts by path, bytewise.
  /// - Returns: The first path that is there twice; nil where each is there once.
  public mutating func sort() -> String? {
    bytes.bytes.withUnsafeBytes { all in
      offsets.sort { Self.order(all, $0, $1) < 0 }
    }
    return bytes.bytes.withUnsafeBytes { all -> String? in
      for index in offsets.indices.dropFirst() where Self.order(all, offsets[index - 1], offsets[index]) == 0 {
        return String(decoding: Self.path(all, offsets[index]), as: UTF8.self)
      }
      return nil
    }
  }

  /// The entry of a path; the table must be sorted.
  public func find(_ path: String) -> ManifestFile? {
    let wanted = Array(path.utf8)
    return bytes.bytes.withUnsafeBytes { all -> ManifestFile? in
      wanted.withUnsafeBytes { wanted -> ManifestFile? in
        var low = 0
        var high = offsets.count
        while low < high {
          let middle = (low + high) / 2
          if Self.compare(Self.path(all, offsets[middle]), wanted) < 0 { low = middle + 1 } else { high = middle }
        }
        guard low < offsets.count, Self.compare(Self.path(all, offsets[low]), wanted) == 0 else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[Int(offsets[low])...]))
        return try? ManifestFile(decoding: &reader)
      }
    }
  }

  /// Hands out the entries, in order once the table is sorted.
  func forEach(_ body: (ManifestFile) throws -> Void) throws {
    try bytes.bytes.withUnsafeBytes { all in
      for offset in offsets {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[Int(offset)...]))
        try body(try ManifestFile(decoding: &reader))
      }
    }
  }

  /// Hands out encoded entries in order, several together, at most `limit` bytes at a time.
  func forEachBatch(limit: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    var batch = ByteWriter()
    try bytes.bytes.withUnsafeBytes { all in
      for offset in offsets {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[Int(offset)...]))
        _ = try ManifestFile(decoding: &reader)
        batch.bytes.append(contentsOf: all[Int(offset)..<(Int(offset) + reader.position)])
        if batch.bytes.count >= limit {
          try batch.bytes.withUnsafeBytes(body)
          batch.bytes.removeAll(keepingCapacity: true)
        }
      }
    }
    if !batch.bytes.isEmpty { try batch.bytes.withUnsafeBytes(body) }
  }

  private static func path(_ all: UnsafeRawBufferPointer, _ offset: UInt32) -> UnsafeRawBufferPointer {
    let length = Int(all.loadUnaligned(fromByteOffset: Int(offset), as: UInt16.self).littleEndian)
    return UnsafeRawBufferPointer(rebasing: all[(Int(offset) + 2)..<(Int(offset) + 2 + length)])
  }
  private static func order(_ all: UnsafeRawBufferPointer, _ a: UInt32, _ b: UInt32) -> Int {
    compare(path(all, a), path(all, b))
  }
  private static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    for index in 0..<min(a.count, b.count) where a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
    return a.count - b.count
  }
}
