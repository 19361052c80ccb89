internal import BackupModel
internal import DurableFiles
import Foundation
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// A file of `pg_wal` that PostgreSQL hands over for archiving.
/// - SeeAlso: PostgreSQL source, `xlog_internal.h` (`IsXLogFileName` and its like), `pgarch.c`.
struct PushedFile: Sendable {
  enum Kind: Sendable, Equatable {
    case segment
    /// The last segment of a timeline that the server left by promotion.
    case partial
    case history(TimelineID)
    /// Where a base backup began and ended: recovery never asks for it.
    case backupLabel
  }

  let path: String
  let kind: Kind

  var name: String { String(path.split(separator: "/").last ?? "") }
  var directory: String { DurableFile.parent(of: path) }

  /// - Throws: ``WALArchivingError/pushedNameUnknown(_:)``.
  init(_ path: String) throws(WALArchivingError) {
    self.path = path
    let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    guard path.hasPrefix("/"), let kind = Self.kind(of: name) else { throw .pushedNameUnknown(path) }
    self.kind = kind
  }

  private static func kind(of name: Substring) -> Kind? {
    func isHexadecimal(_ text: Substring) -> Bool {
      text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }
    }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let stem = parts.first, isHexadecimal(stem) else { return nil }
    switch (stem.utf8.count, parts.count) {
    case (8, 2) where parts[1] == "history":
      return UInt32(stem, radix: 16).flatMap { $0 > 1 ? .history(TimelineID($0)) : nil }
    case (24, 1): return .segment
    case (24, 2) where parts[1] == "partial": return .partial
    case (24, 3) where parts[2] == "backup" && parts[1].utf8.count == 8 && isHexadecimal(parts[1]): return .backupLabel
    default: return nil
    }
  }

  /// What tells whether a file is still the one that was read.
  struct Identity: Sendable, Equatable {
    var inode: UInt64
    var seconds: Int
    var nanoseconds: Int
    var size: Int
  }

  func identity() throws(FileError) -> Identity {
    var status = stat()
    guard stat(path, &status) == 0 else { throw .last("look at", path) }
    return Identity(
      inode: UInt64(status.st_ino), seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec,
      size: status.st_size)
  }

  /// Segments after this one that PostgreSQL will hand over next, in order; none outside a data directory.
  func successors(limit: Int) -> [PushedFile] {
    let suffix = ".ready"
    guard kind == .segment, let names = try? DurableFile.names(in: directory + "/archive_status") else { return [] }
    let own = name
    return names.lazy.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.utf8.count)) }
      .filter { $0 > own && $0.utf8.count == 24 }.sorted().prefix(limit)
      .compactMap { try? PushedFile(directory + "/" + $0) }
  }
}

/// The header of a segment's first page.
/// - SeeAlso: PostgreSQL source, `xlog_internal.h`, `XLogLongPageHeaderData`.
struct SegmentHeader {
  private static let longHeader: UInt16 = 0x0002
  var systemIdentifier: SystemIdentifier
  var size: WALSegmentSize

  /// - Throws: ``WALArchivingError/pushedFileInvalid(path:reason:)``, `FileError`.
  init(readingFrom path: String) throws {
    let file = try Descriptor(opening: path, O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: 40)
    let count = try bytes.withUnsafeMutableBytes { try file.readAll(into: $0, at: 0) }
    func invalid(_ reason: String) -> WALArchivingError { .pushedFileInvalid(path: path, reason: reason) }
    guard count == bytes.count else { throw invalid("It has \(count) bytes.") }
    func number<Number: FixedWidthInteger>(_ offset: Int, _ type: Number.Type) -> Number {
      bytes.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
    }
    guard WALRecordDecoder.magics.contains(number(0, UInt16.self)), number(2, UInt16.self) & Self.longHeader != 0 else {
      throw invalid("It does not begin with the page header of a segment of PostgreSQL 15 to 18.")
    }
    systemIdentifier = SystemIdentifier(number(24, UInt64.self))
    guard let size = try? WALSegmentSize(bytes: UInt64(number(32, UInt32.self))) else {
      throw invalid("Its header names a segment size of \(number(32, UInt32.self)) bytes.")
    }
    self.size = size
    let length = try file.size()
    guard length == Int64(size.bytes) else {
      throw invalid("It has \(length) bytes, and its header names a segment size of \(size.bytes).")
    }
  }
}
