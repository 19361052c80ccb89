internal import BackupModel
internal import DurableFiles
import Foundation
internal import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Where received WAL lies until the stores hold it: `<state>/wal/<cluster>/`.
///
///     position.json               where the open segment begins: written durably at each change of segment
///     <segment>.open              the open segment's bytes, from its first
///     <segment>.acknowledged      how far the open segment was fsynced, hence acknowledged to the server
///     <segment>, <segment>.index  a complete segment and its index, waiting for the stores
///     <segment>.tail              what was received of a segment that will never be completed here
///     <timeline>.history, gap-<id>.json    waiting for the stores
///
/// Why no crash leaves a gap. The server keeps WAL from the segment that holds the position we acknowledged last.
/// So whatever is before that segment must be durable here, and streaming must begin again at that segment's first
/// byte or earlier:
///
/// 1. Bytes are acknowledged only after `fdatasync` of the file that holds them, whose name was fsynced before.
/// 2. At the end of segment N: fsync N's bytes and its index; write `position.json` (open: N + 1) durably; rename
///    N.open to N; fsync the directory; only then is a position behind N acknowledged. A crash before
///    `position.json`: N is open and streamed again. After it: N is durable under one of its two names, and the next
///    start finishes the rename.
/// 3. A landed segment is removed only when every store holds it durably.
///
/// Why the position never claims too much. `<segment>.acknowledged` is written after `fdatasync` returned and before
/// the acknowledgement is sent, and is itself not fsynced. After a kill it is exact or ahead of what the server was
/// told; after a power loss it may be older than that, and the comparison then covers less. It never names bytes that
/// were not durable at the time it was written. The file's size says nothing: after a power loss it may include zeros.
final class LandingDirectory: Sendable {
  struct Position: Sendable, Codable, Equatable {
    var version = 1
    var systemIdentifier: SystemIdentifier
    var segmentSize: WALSegmentSize
    var timeline: TimelineID
    /// First byte of the open segment.
    var open: LSN
    /// What the segment before left unfinished.
    var openRecord: WALRecordDecoder.OpenRecord?

    var segment: WALSegment { WALSegment(timeline: timeline, holding: open, size: segmentSize) }
  }

  let path: String
  private let lock: Mutex<LockFile?>

  init(_ path: String) throws {
    self.path = path
    try DurableFile.makeDirectory(path)
    guard let lock = try LockFile.tryLock(path + "/lock") else { throw WALArchivingError.landingInUse(path) }
    self.lock = Mutex(lock)
  }

  /// Lets the next archiver have the directory; nothing is written into it through this one any more.
  func unlock() { lock.withLock { $0 = nil } }

  /// Forgets everything: for the WAL of one backup, where what an earlier one left is of no use, and for that of another
  /// lineage. The position goes last: without it, what is left of the rest would be taken for the next lineage's.
  func empty() throws {
    for name in try DurableFile.names(in: path) where name != "lock" && path + "/" + name != positionPath {
      try DurableFile.remove(path + "/" + name)
    }
    if DurableFile.exists(positionPath) { try DurableFile.remove(positionPath) }
  }

  // MARK: Position

  private var positionPath: String { path + "/position.json" }

  func position() throws -> Position? {
    guard DurableFile.exists(positionPath) else { return nil }
    let bytes = try DurableFile.read(positionPath)
    do {
      let position = try JSONDecoder().decode(Position.self, from: Data(bytes))
      guard position.version == 1, position.open.value % position.segmentSize.bytes == 0 else {
        throw WALArchivingError.landingUnreadable(positionPath, reason: "Its version or position is not one of ours.")
      }
      return position
    } catch let error as DecodingError {
      throw WALArchivingError.landingUnreadable(positionPath, reason: "It is not the JSON written here: \(error).")
    }
  }

  func setPosition(_ position: Position) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try DurableFile.replace(positionPath, with: Array(encoder.encode(position)) + [0x0A])
  }

  // MARK: Names

  func openPath(_ segment: WALSegment, _ size: WALSegmentSize) -> String {
    path + "/" + segment.name(size: size) + ".open"
  }
  func markPath(_ segment: WALSegment, _ size: WALSegmentSize) -> String {
    path + "/" + segment.name(size: size) + ".acknowledged"
  }
  func landedPath(_ segment: WALSegment, _ size: WALSegmentSize) -> String { path + "/" + segment.name(size: size) }
  func indexPath(_ segment: WALSegment, _ size: WALSegmentSize) -> String {
    path + "/" + segment.name(size: size) + ".index"
  }
  func tailPath(_ segment: WALSegment, _ size: WALSegmentSize) -> String {
    path + "/" + segment.name(size: size) + ".tail"
  }
  func historyPath(_ timeline: TimelineID) -> String { path + "/" + timeline.historyFileName }
  func gapPath(_ id: RandomID) -> String { path + "/gap-\(id).json" }

  // MARK: What waits for the stores

  struct Waiting {
    var segments: [WALSegment] = []
    var tails: [WALSegment] = []
    var histories: [TimelineID] = []
    var gaps: [WALGap] = []
  }

  /// What earlier runs left to ship. Finishes a rename that a crash prevented.
  func waiting(_ position: Position) throws -> Waiting {
    var waiting = Waiting()
    let size = position.segmentSize
    for name in try DurableFile.names(in: path) {
      if name.hasSuffix(".history"), let number = UInt32(name.prefix(8), radix: 16) {
        waiting.histories.append(TimelineID(number))
      } else if name.hasPrefix("gap-"), name.hasSuffix(".json") {
        let bytes = try DurableFile.read(path + "/" + name)
        do {
          waiting.gaps.append(try JSONDecoder().decode(WALGap.self, from: Data(bytes)))
        } catch let error as DecodingError {
          throw WALArchivingError.landingUnreadable(path + "/" + name, reason: "\(error)")
        }
      } else if let segment = try? WALSegment(name: String(name.prefix(24)), size: size) {
        switch name.dropFirst(24) {
        case "": waiting.segments.append(segment)
        case ".tail": waiting.tails.append(segment)
        case ".open" where segment != position.segment:
          try finishRename(of: segment, position)
          waiting.segments.append(segment)
        default: break
        }
      }
    }
    waiting.segments.sort()
    return waiting
  }

  private func finishRename(of segment: WALSegment, _ position: Position) throws {
    let file = openPath(segment, position.segmentSize)
    let size = try Descriptor(opening: file, O_RDONLY).size()
    guard segment < position.segment, size == Int64(position.segmentSize.bytes) else {
      throw WALArchivingError.landingUnreadable(
        file, reason: "It has \(size) bytes, and \(position.segment.name(size: position.segmentSize)) is open.")
    }
    try land(segment, position.segmentSize)
  }

  /// Gives a complete segment its final name. Durable on return.
  func land(_ segment: WALSegment, _ size: WALSegmentSize) throws {
    try renameDurably(openPath(segment, size), landedPath(segment, size))
    unlink(markPath(segment, size))
  }

  /// Sets the open segment aside as one that will not be completed here. Durable on return.
  /// - Returns: Where its bytes end; nil where there are none.
  func setAside(_ segment: WALSegment, _ size: WALSegmentSize) throws -> LSN? {
    let file = openPath(segment, size)
    guard DurableFile.exists(file) else { return nil }
    let acknowledged = try acknowledgedBytes(segment, size)
    do {
      let open = try Descriptor(opening: file, O_WRONLY)
      try open.truncate(to: Int64(acknowledged))
      try open.sync()
    }
    if acknowledged == 0 {
      try DurableFile.remove(file)
    } else {
      try renameDurably(file, tailPath(segment, size))
    }
    unlink(markPath(segment, size))
    return acknowledged == 0 ? nil : segment.start(size: size) + acknowledged
  }

  private func renameDurably(_ from: String, _ to: String) throws {
    guard rename(from, to) == 0 else { throw FileError.last("rename into place", to) }
    try DurableFile.syncDirectory(path)
  }

  // MARK: How far the open segment is durable

  /// Bytes of the open segment that are durable for certain, from its first.
  func acknowledgedBytes(_ segment: WALSegment, _ size: WALSegmentSize) throws -> UInt64 {
    let mark = markPath(segment, size)
    guard DurableFile.exists(mark), DurableFile.exists(openPath(segment, size)) else { return 0 }
    // A line that was torn by a power loss is as good as none.
    guard let bytes = AcknowledgedMark.decode(try DurableFile.read(mark, limit: 4096)), bytes <= size.bytes else {
      return 0
    }
    let held = try Descriptor(opening: openPath(segment, size), O_RDONLY).size()
    return min(bytes, UInt64(held))
  }

  func removeLanded(_ segment: WALSegment, _ size: WALSegmentSize) throws {
    try DurableFile.remove(landedPath(segment, size))
    try DurableFile.remove(indexPath(segment, size))
  }

  /// The index beside a landed segment; nil where it is missing or not readable, for it can be made again.
  func index(of segment: WALSegment, _ size: WALSegmentSize) throws -> WALIndex? {
    let file = indexPath(segment, size)
    guard DurableFile.exists(file) else { return nil }
    return try? WALIndex(decoding: DurableFile.read(file, limit: 1 << 30))
  }
}

/// The content of `<segment>.acknowledged`: a fixed-length line, the number twice, so that a torn one shows.
enum AcknowledgedMark {
  static func encode(_ bytes: UInt64) -> [UInt8] {
    let digits = Hexadecimal.padded(bytes, digits: 16, uppercase: true)
    return Array("\(digits) \(digits)\n".utf8)
  }
  static func decode(_ line: [UInt8]) -> UInt64? {
    let parts = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x0A })
    guard line.count == 34, parts.count == 2, parts[0] == parts[1] else { return nil }
    return UInt64(String(decoding: parts[0], as: UTF8.self), radix: 16)
  }
}
