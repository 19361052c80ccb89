public import BackupModel
internal import Cryptography
internal import DurableFiles
import Foundation

/// The pieces a run can take over, found along the order they have in its parent.
///
/// Nearly every piece that did not change follows the one found last. Others are looked for in the parts around that one:
/// ten parts of 256 MiB, so that memory is the same for a dump of any size. A piece that moved further is stored anew.
///
/// Used by one thread.
public final class ParentPieces {
  struct Found {
    var pack: PackID
    var location: FrameLocation
    var offset: UInt32
    /// Its frame is mostly dead.
    var isSparse: Bool
  }

  /// A part of the parent: its pieces and chains of those whose fingerprints begin alike.
  private struct Part {
    var frames: [PieceCache.Frame]
    var pieces: [PieceCache.Piece]
    var heads: [Int32]
    static let none = Part(frames: [], pieces: [], heads: [])

    mutating func makeChains() {
      heads = [Int32](repeating: -1, count: max(1, pieces.count).nextPowerOfTwo)
      let mask = UInt64(heads.count - 1)
      for index in pieces.indices.reversed() {
        let head = Int(pieces[index].fingerprint.low & mask)
        pieces[index].next = heads[head]
        heads[head] = Int32(index)
      }
    }

    func find(_ fingerprint: Fingerprint, _ length: UInt32) -> Int? {
      guard !pieces.isEmpty else { return nil }
      var index = heads[Int(fingerprint.low & UInt64(heads.count - 1))]
      while index >= 0 {
        let piece = pieces[Int(index)]
        if piece.fingerprint == fingerprint, piece.length == length { return Int(index) }
        index = piece.next
      }
      return nil
    }
  }

  static let partsBefore = 3
  static let partsBehind = 6
  /// A frame of which less than a quarter is in use is not kept for that quarter's sake.
  static let sparseShare = 4

  public let parent: BackupID
  let unheard: [StoreID: ErrorReport]
  /// The first thing that could not be read: pieces were stored anew.
  private(set) var failure: ErrorReport?
  let packs: [PieceCache.Pack]
  private let held: [Bool]
  private let blocks: [PieceCache.Block]
  private let file: Descriptor
  private let path: String
  private var parts: [Int: Part] = [:]
  /// The piece found last.
  private var cursor: (part: Int, piece: Int) = (0, -1)
  private var centre = -1

  /// - Throws: ``FingerprintCacheError``, `StorageError` where no store answers.
  init(opening path: String, _ repository: Repository, _ lineage: Lineage) throws {
    self.path = path
    do {
      file = try Descriptor(opening: path, O_RDONLY)
    } catch let error where error.isMissing {
      throw FingerprintCacheError.missing(path)
    } catch {
      throw FingerprintCacheError.damaged(path, reason: "It could not be opened: \(error.detail ?? error.summary)")
    }
    let description: PieceCache.Description
    do {
      (description, packs, blocks) = try Self.readTail(file, path)
    } catch let error as ByteReader.Malformed {
      throw FingerprintCacheError.damaged(path, reason: "It is malformed: \(error.what).")
    } catch let error as FileError {
      throw FingerprintCacheError.damaged(path, reason: error.detail ?? error.summary)
    }
    guard description.repository == repository.id, description.cluster == lineage.cluster,
      description.systemIdentifier == lineage.systemIdentifier
    else { throw FingerprintCacheError.ofAnother(path, what: "It is of another repository or server.") }
    parent = description.backup
    let holdings = try StoreHoldings(repository, lineage)
    held = packs.map { holdings.holds(pack: $0.id, size: $0.size) }
    unheard = holdings.failures
  }

  private static func readTail(
    _ file: borrowing Descriptor, _ path: String
  ) throws -> (PieceCache.Description, [PieceCache.Pack], [PieceCache.Block]) {
    let size = try file.size()
    func damaged(_ reason: String) -> FingerprintCacheError { .damaged(path, reason: reason) }
    guard size >= Int64(PieceCache.footerSize) else { throw damaged("It has only \(size) bytes.") }
    let footer = try read(file, at: UInt64(size) - UInt64(PieceCache.footerSize), PieceCache.footerSize)
    let (offset, packCount, blockCount, checksum) = try footer.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let fields = (
        try reader.integer("the footer", as: UInt64.self), try reader.integer("the footer", as: UInt32.self),
        try reader.integer("the footer", as: UInt32.self), try reader.integer("the footer", as: UInt32.self)
      )
      let _: UInt32 = try reader.integer("the footer")
      guard try reader.integer("the footer", as: UInt64.self) == PieceCache.magic else {
        throw damaged("It does not end as it should.")
      }
      return fields
    }
    let end = UInt64(size) - UInt64(PieceCache.footerSize)
    guard offset <= end, end - offset < 1 << 28 else { throw damaged("Its footer points elsewhere.") }
    let tail = try read(file, at: offset, Int(end - offset))
    guard tail.withUnsafeBytes({ CRC32C.checksum($0) }) == checksum else { throw damaged("Its checksum is wrong.") }
    return try tail.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let packs = try (0..<packCount).map { _ in
        PieceCache.Pack(id: try reader.id("a pack"), size: try reader.integer("a pack"))
      }
      let blocks = try (0..<blockCount).map { _ in
        PieceCache.Block(
          offset: try reader.integer("a block"), frames: try reader.integer("a block"),
          pieces: try reader.integer("a block"), checksum: try reader.integer("a block"))
      }
      let text = Data(try reader.take(reader.remaining, "the description"))
      guard let description = try? JSONDecoder().decode(PieceCache.Description.self, from: text),
        description.version == 1
      else { throw damaged("It is of another version.") }
      return (description, packs, blocks)
    }
  }

  private static func read(_ file: borrowing Descriptor, at offset: UInt64, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let found = try bytes.withUnsafeMutableBufferPointer { buffer throws(FileError) in
      try file.readAll(into: UnsafeMutableRawBufferPointer(buffer), at: Int64(offset))
    }
    guard found == count else { throw ByteReader.Malformed(what: "it is cut off") }
    return bytes
  }

  /// Where a piece lies that every store has; nil where it is to be stored.
  func find(_ fingerprint: Fingerprint, length: UInt32) -> Found? {
    guard let place = locate(fingerprint, length) else { return nil }
    cursor = place
    let part = parts[place.part]!
    let piece = part.pieces[place.piece]
    let frame = part.frames[Int(piece.frame)]
    guard held[Int(frame.pack)] else { return nil }
    return Found(
      pack: packs[Int(frame.pack)].id, location: frame.location, offset: piece.offset,
      isSparse: Int(frame.live) * Self.sparseShare < Int(frame.location.plainLength))
  }

  private func locate(_ fingerprint: Fingerprint, _ length: UInt32) -> (part: Int, piece: Int)? {
    moveWindow()
    if let next = follower(), case let piece = parts[next.part]!.pieces[next.piece],
      piece.fingerprint == fingerprint, piece.length == length
    {
      return next
    }
    // Nearest first: what moved did not move far, as a rule.
    for distance in 0...Self.partsBehind {
      for number in Set([cursor.part + distance, cursor.part - distance]) {
        if let index = parts[number]?.find(fingerprint, length) { return (number, index) }
      }
    }
    return nil
  }

  /// The piece behind the one found last.
  private func follower() -> (part: Int, piece: Int)? {
    if let part = parts[cursor.part], cursor.piece + 1 < part.pieces.count { return (cursor.part, cursor.piece + 1) }
    if let part = parts[cursor.part + 1], !part.pieces.isEmpty { return (cursor.part + 1, 0) }
    return nil
  }

  private func moveWindow() {
    guard centre != cursor.part else { return }
    centre = cursor.part
    let wanted = max(0, centre - Self.partsBefore)..<min(blocks.count, centre + Self.partsBehind + 1)
    parts = parts.filter { wanted.contains($0.key) }
    for number in wanted where parts[number] == nil { parts[number] = load(number) }
  }

  private func load(_ number: Int) -> Part {
    do {
      return try read(blocks[number])
    } catch {
      let report =
        (error as? ByteReader.Malformed).map {
          ErrorReport(FingerprintCacheError.damaged(path, reason: "It is malformed: \($0.what)."))
        } ?? ErrorReport(error)
      failure = failure ?? report
      return .none
    }
  }

  private func read(_ block: PieceCache.Block) throws -> Part {
    guard block.byteCount < 1 << 28 else { throw ByteReader.Malformed(what: "a block that is too long") }
    let bytes = try Self.read(file, at: block.offset, block.byteCount)
    return try bytes.withUnsafeBytes { bytes in
      guard CRC32C.checksum(bytes) == block.checksum else {
        throw FingerprintCacheError.damaged(path, reason: "The checksum of a block is wrong.")
      }
      var reader = ByteReader(bytes)
      var part = Part(frames: [], pieces: [], heads: [])
      for _ in 0..<block.frames { part.frames.append(try PieceCache.Frame(decoding: &reader)) }
      guard part.frames.allSatisfy({ Int($0.pack) < packs.count }) else {
        throw ByteReader.Malformed(what: "a frame of an unknown pack")
      }
      let rest = try reader.take(reader.remaining, "the pieces")
      part.pieces = (0..<Int(block.pieces)).map {
        rest.loadUnaligned(fromByteOffset: $0 * PieceCache.Piece.size, as: PieceCache.Piece.self)
      }
      guard part.pieces.allSatisfy({ Int($0.frame) < part.frames.count }) else {
        throw ByteReader.Malformed(what: "a piece of an unknown frame")
      }
      part.makeChains()
      return part
    }
  }
}

extension Int {
  fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
