internal import BackupModel
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A range of a file in the landing directory, read piece by piece, by any number of threads. The file may be renamed
/// meanwhile.
final class LandedBytes: Sendable {
  private let file: Descriptor
  let range: Range<Int64>

  /// - Parameters:
  ///   - paths: Where the file may be: the first that is there is taken, sought twice, since it may just be renamed.
  ///   - range: Nil for the whole file.
  init(_ paths: [String], _ range: Range<Int64>? = nil) throws {
    // Renames go from the first place to the later ones: what is in none of them was just renamed to one looked at.
    let path = (paths + paths).first { DurableFile.exists($0) } ?? paths[0]
    file = try Descriptor(opening: path, O_RDONLY)
    let size = try file.size()
    self.range = range ?? 0..<size
    guard self.range.upperBound <= size else {
      throw WALArchivingError.landingUnreadable(file.path, reason: "It ends before byte \(self.range.upperBound).")
    }
  }

  var count: Int { range.count }

  /// Fills the buffer.
  /// - Parameter offset: From the range's beginning.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let found = try file.readAll(into: buffer, at: range.lowerBound + Int64(offset))
    guard found == buffer.count else {
      throw WALArchivingError.landingUnreadable(file.path, reason: "It became shorter while it was read.")
    }
  }

  func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    var piece = [UInt8](repeating: 0, count: min(count, 256 << 10))
    var offset = 0
    while offset < count {
      let size = min(piece.count, count - offset)
      try piece.withUnsafeMutableBytes { buffer in
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
        try read(at: offset, into: part)
        try body(UnsafeRawBufferPointer(part))
      }
      offset += size
    }
  }
}
