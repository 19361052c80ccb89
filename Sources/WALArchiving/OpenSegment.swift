internal import BackupModel
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// The landing file of the segment that is being received. Used by the receiver's thread alone.
final class OpenSegment {
  let segment: WALSegment
  private let size: WALSegmentSize
  private let landing: LandingDirectory
  private let file: Descriptor
  private let mark: Descriptor
  /// Bytes that an earlier run acknowledged: compared, not written.
  let acknowledgedBefore: UInt64
  /// Bytes taken by this run.
  private(set) var taken: UInt64 = 0
  private var scratch: [UInt8] = []

  /// Opens the file, or makes it. Its name is durable on return.
  /// - Parameter filled: Gives it its whole length first, as zeros: each sync then writes data alone and no new length,
  ///   which is what a commit waits for. How far it is ours, the mark says and never the length.
  init(_ segment: WALSegment, size: WALSegmentSize, in landing: LandingDirectory, filled: Bool = false) throws {
    self.segment = segment
    self.size = size
    self.landing = landing
    acknowledgedBefore = try landing.acknowledgedBytes(segment, size)
    file = try Descriptor(opening: landing.openPath(segment, size), O_RDWR | O_CREAT)
    // What lies behind may be anything after a power loss; it comes again.
    try file.truncate(to: Int64(acknowledgedBefore))
    if filled { try Self.fill(file, from: Int64(acknowledgedBefore), to: Int64(size.bytes)) }
    mark = try Descriptor(opening: landing.markPath(segment, size), O_WRONLY | O_CREAT)
    try DurableFile.syncDirectory(landing.path)
  }

  private static func fill(_ file: borrowing Descriptor, from begin: Int64, to end: Int64) throws {
    let zeros = [UInt8](repeating: 0, count: 256 << 10)
    var position = begin
    while position < end {
      let count = Int(min(Int64(zeros.count), end - position))
      try zeros.withUnsafeBytes { try file.writeAll(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: position) }
      position += Int64(count)
    }
    try file.syncData()
  }

  var start: LSN { segment.start(size: size) }
  /// Everything before this is durable here.
  var flushed: LSN { start + max(acknowledgedBefore, syncedBytes) }
  private(set) var syncedBytes: UInt64 = 0
  var left: UInt64 { size.bytes - taken }

  /// Takes the next bytes.
  /// - Throws: ``WALArchivingError/serverRolledBack(_:reason:)`` where they are not those that were acknowledged before.
  func take(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    if taken < acknowledgedBefore {
      let count = Int(min(UInt64(rest.count), acknowledgedBefore - taken))
      try compare(UnsafeRawBufferPointer(rebasing: rest[..<count]))
      taken += UInt64(count)
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    if rest.isEmpty { return }
    try file.writeAll(rest, at: Int64(taken))
    taken += UInt64(rest.count)
  }

  private func compare(_ bytes: UnsafeRawBufferPointer) throws {
    if scratch.count < bytes.count { scratch = [UInt8](repeating: 0, count: bytes.count) }
    let position = taken
    try scratch.withUnsafeMutableBytes { buffer in
      let held = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
      let count = try file.readAll(into: held, at: Int64(position))
      guard count == bytes.count, memcmp(held.baseAddress!, bytes.baseAddress!, count) == 0 else {
        let same = zip(held, bytes).prefix { $0 == $1 }.count
        throw WALArchivingError.serverRolledBack(
          WALPosition(timeline: segment.timeline, lsn: start + position + UInt64(same)),
          reason: "The server's WAL is not what it acknowledged to have sent before.")
      }
    }
  }

  /// Makes what was taken durable, and remembers that it is.
  func sync() throws {
    guard taken > syncedBytes else { return }
    if taken > acknowledgedBefore {
      try file.syncData()
      try AcknowledgedMark.encode(taken).withUnsafeBytes { try mark.writeAll($0, at: 0) }
    }
    syncedBytes = taken
  }
}
