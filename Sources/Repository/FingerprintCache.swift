public import BackupModel
internal import Cryptography
internal import DurableFiles
import Foundation

/// The fingerprint of every page as one backup holds it, and where each page lies: local state, derived, one file a
/// cluster, replaced as a whole when a backup commits.
///
/// The file: records and runs of fingerprints in the order files were done, then the index (hash of path, offset of
/// record), the use of packs, a description in JSON, and a footer. Everything read is covered by a CRC-32C, so that a
/// damaged cache is found out and costs a page stored anew, never a page taken for another. The layout is described in
/// `docs/architecture/overview.md`; it is nobody's but this program's, and may change with any version.
public final class FingerprintCache: Sendable {
  static let magic: UInt64 = 0x3145_4843_4350_4B42  // "BKPCCHE1"
  static let footerSize = 56

  /// Which backup, of which repository.
  struct Description: Codable, Sendable, Hashable {
    var version = 1
    var repository: RepositoryID
    var cluster: ClusterID
    var systemIdentifier: SystemIdentifier
    /// The backup whose pages these are; of a run that did not end, the id it would have had.
    var backup: BackupID
    var pagesChanged: UInt64
  }

  /// One file of the backup.
  struct Entry: Sendable {
    var path: String
    var size: UInt64
    var fingerprintOffset: UInt64
    var fingerprintChecksum: UInt32
    var fingerprintPages: UInt32
    var reference: PageMapReference
    var map: [UInt8]
  }

  let path: String
  let description: Description
  let usage: PackUsage
  private let file: Descriptor
  private let hashes: [UInt64]
  private let offsets: [UInt64]

  public var backup: BackupID { description.backup }

  /// - Throws: ``FingerprintCacheError``.
  init(opening path: String) throws {
    self.path = path
    do {
      file = try Descriptor(opening: path, O_RDONLY)
    } catch let error where error.isMissing {
      throw FingerprintCacheError.missing(path)
    } catch {
      throw FingerprintCacheError.damaged(path, reason: "It could not be opened: \(error.detail ?? error.summary)")
    }
    do {
      let tail = try Self.readTail(file, path)
      (description, hashes, offsets, usage) = tail
    } catch let error as FileError {
      throw FingerprintCacheError.damaged(path, reason: error.detail ?? error.summary)
    } catch let error as ByteReader.Malformed {
      throw FingerprintCacheError.damaged(path, reason: "It is malformed: \(error.what).")
    }
  }

  private static func readTail(
    _ file: borrowing Descriptor, _ path: String
  ) throws -> (Description, [UInt64], [UInt64], PackUsage) {
    let size = try file.size()
    guard size >= Int64(footerSize) else {
      throw FingerprintCacheError.damaged(path, reason: "It has only \(size) bytes.")
    }
    let footer = try read(file, at: UInt64(size) - UInt64(footerSize), count: footerSize, path)
    let (tailOffset, count, usageLength, textLength, checksum) = try footer.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let magic: UInt64 = try reader.integer("the footer")
      let found: UInt32 = try reader.integer("the footer")
      let rest = UnsafeRawBufferPointer(rebasing: bytes[12...])
      guard magic == Self.magic, found == CRC32C.checksum(rest) else {
        throw FingerprintCacheError.damaged(path, reason: "It does not end as a cache does; it may have been cut off.")
      }
      let tailOffset: UInt64 = try reader.integer("the footer")
      let count: UInt64 = try reader.integer("the footer")
      let usageLength: UInt64 = try reader.integer("the footer")
      let textLength: UInt64 = try reader.integer("the footer")
      return (tailOffset, count, usageLength, textLength, try reader.integer("the footer", as: UInt32.self))
    }
    let end = UInt64(size) - UInt64(footerSize)
    guard count < 1 << 32, usageLength < 1 << 32, textLength < 1 << 20, tailOffset <= end,
      end - tailOffset == count * 16 + usageLength + textLength
    else { throw FingerprintCacheError.damaged(path, reason: "Its footer describes another file.") }
    let tail = try read(file, at: tailOffset, count: Int(end - tailOffset), path)
    return try tail.withUnsafeBytes { bytes in
      guard CRC32C.checksum(bytes) == checksum else {
        throw FingerprintCacheError.damaged(path, reason: "The checksum of its index is wrong.")
      }
      var reader = ByteReader(bytes)
      var hashes: [UInt64] = []
      var offsets: [UInt64] = []
      hashes.reserveCapacity(Int(count))
      offsets.reserveCapacity(Int(count))
      for _ in 0..<count { hashes.append(try reader.integer("the index")) }
      for _ in 0..<count { offsets.append(try reader.integer("the index")) }
      var usageReader = ByteReader(try reader.take(Int(usageLength), "the use of packs"))
      let usage = try PackUsage(decoding: &usageReader)
      let text = Data(try reader.take(Int(textLength), "the description"))
      guard let description = try? JSONDecoder().decode(Description.self, from: text), description.version == 1 else {
        throw FingerprintCacheError.damaged(path, reason: "Its description is of another version.")
      }
      return (description, hashes, offsets, usage)
    }
  }

  private static func read(
    _ file: borrowing Descriptor, at offset: UInt64, count: Int, _ path: String
  ) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let found = try bytes.withUnsafeMutableBytes { try file.readAll(into: $0, at: Int64(clamping: offset)) }
    guard found == count else { throw FingerprintCacheError.damaged(path, reason: "It ends too early.") }
    return bytes
  }

  /// FNV-1a. A collision costs a comparison of paths, no more.
  static func hash(_ path: String) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    return hash
  }

  /// The entry of a path; nil where the backup has no such file, or it was empty.
  /// - Throws: ``FingerprintCacheError`` where its record is damaged.
  func find(_ path: String) throws -> Entry? {
    let wanted = Self.hash(path)
    var low = 0
    var high = hashes.count
    while low < high {
      let middle = (low + high) / 2
      if hashes[middle] < wanted { low = middle + 1 } else { high = middle }
    }
    while low < hashes.count, hashes[low] == wanted {
      let entry = try readRecord(at: offsets[low])
      if entry.path == path { return entry }
      low += 1
    }
    return nil
  }

  /// A record: length (u32) and CRC-32C (u32) of what follows, path, size, fingerprints, reference, page map.
  private func readRecord(at offset: UInt64) throws -> Entry {
    do {
      let head = try Self.read(file, at: offset, count: 8, path)
      let (length, checksum) = try head.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        return (try reader.integer("a record", as: UInt32.self), try reader.integer("a record", as: UInt32.self))
      }
      guard length < 1 << 30 else { throw FingerprintCacheError.damaged(path, reason: "A record is too long.") }
      let body = try Self.read(file, at: offset + 8, count: Int(length), path)
      return try body.withUnsafeBytes { bytes in
        guard CRC32C.checksum(bytes) == checksum else {
          throw FingerprintCacheError.damaged(path, reason: "The checksum of a record is wrong.")
        }
        return try Self.decode(bytes)
      }
    } catch let error as FileError {
      throw FingerprintCacheError.damaged(path, reason: error.detail ?? error.summary)
    } catch let error as ByteReader.Malformed {
      throw FingerprintCacheError.damaged(path, reason: "A record is malformed: \(error.what).")
    }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer) throws(ByteReader.Malformed) -> Entry {
    var reader = ByteReader(bytes)
    let what = "a record"
    let pathLength = Int(try reader.integer(what, as: UInt16.self))
    let path = String(decoding: try reader.take(pathLength, what), as: UTF8.self)
    let size: UInt64 = try reader.integer(what)
    let offset: UInt64 = try reader.integer(what)
    let checksum: UInt32 = try reader.integer(what)
    let pages: UInt32 = try reader.integer(what)
    let reference = PageMapReference(
      metadataPack: try reader.id(what), frame: try reader.integer(what), offset: try reader.integer(what),
      length: try reader.integer(what))
    return Entry(
      path: path, size: size, fingerprintOffset: offset, fingerprintChecksum: checksum, fingerprintPages: pages,
      reference: reference, map: Array(try reader.take(reader.remaining, what)))
  }

  static func encode(_ entry: Entry) -> [UInt8] {
    var body = ByteWriter()
    let path = Array(entry.path.utf8)
    body.append(UInt16(path.count))
    body.append(path)
    body.append(entry.size)
    body.append(entry.fingerprintOffset)
    body.append(entry.fingerprintChecksum)
    body.append(entry.fingerprintPages)
    body.append(bigEndian: entry.reference.metadataPack)
    body.append(entry.reference.frame)
    body.append(entry.reference.offset)
    body.append(entry.reference.length)
    body.append(entry.map)
    var record = ByteWriter()
    record.append(UInt32(body.bytes.count))
    record.append(body.bytes.withUnsafeBytes { CRC32C.checksum($0) })
    record.append(body.bytes)
    return record.bytes
  }

  /// The fingerprints of an entry, one a page; all zeros for a page that is not known.
  func fingerprints(of entry: Entry) throws -> [Fingerprint] {
    var all = [Fingerprint](repeating: Fingerprint(low: 0, high: 0), count: Int(entry.fingerprintPages))
    do {
      let (count, checksum) = try all.withUnsafeMutableBytes { bytes in
        (
          try file.readAll(into: bytes, at: Int64(clamping: entry.fingerprintOffset)),
          CRC32C.checksum(UnsafeRawBufferPointer(bytes))
        )
      }
      guard count == all.count * 16, checksum == entry.fingerprintChecksum else {
        throw FingerprintCacheError.damaged(path, reason: "The checksum of the fingerprints of a file is wrong.")
      }
    } catch let error as FileError {
      throw FingerprintCacheError.damaged(path, reason: error.detail ?? error.summary)
    }
    return all
  }

  func map(of entry: Entry) throws -> PageMap {
    do {
      return try entry.map.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        let map = try PageMap(decoding: &reader)
        guard map.isConsistent else { throw ByteReader.Malformed(what: "a page map leaves its frames") }
        return map
      }
    } catch let error as ByteReader.Malformed {
      throw FingerprintCacheError.damaged(path, reason: "A page map is malformed: \(error.what).")
    }
  }
}
