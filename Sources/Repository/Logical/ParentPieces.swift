public import BackupModel
internal import Cryptography
internal import DurableFiles
import Foundation
import Synchronization

/// The pieces a run can take over, and the parts of streams they lie in, in the order of the streams' names.
///
/// - Note: What cutters look through at the same time is in the ``ParentWindow`` of each.
public final class ParentPieces: Sendable {
  /// A part of the parent: its pieces and chains of those whose fingerprints begin alike.
  struct Part {
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

  public let parent: BackupID
  let unheard: [StoreID: ErrorReport]
  private let firstFailure = Mutex<ErrorReport?>(nil)
  let packs: [PieceCache.Pack]
  private let held: [Bool]
  let blocks: [PieceCache.Block]
  let samples: PieceSamples
  private let file: Descriptor
  private let path: String

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
      (description, packs, blocks, samples) = try Self.readTail(file, path)
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
  ) throws -> (PieceCache.Description, [PieceCache.Pack], [PieceCache.Block], PieceSamples) {
    let size = try file.size()
    func damaged(_ reason: String) -> FingerprintCacheError { .damaged(path, reason: reason) }
    guard size >= Int64(PieceCache.footerSize) else { throw damaged("It has only \(size) bytes.") }
    let footer = try read(file, at: UInt64(size) - UInt64(PieceCache.footerSize), PieceCache.footerSize)
    let (offset, packCount, blockCount, checksum, sampleCount) = try footer.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let fields = (
        try reader.integer("the footer", as: UInt64.self), try reader.integer("the footer", as: UInt32.self),
        try reader.integer("the footer", as: UInt32.self), try reader.integer("the footer", as: UInt32.self),
        try reader.integer("the footer", as: UInt32.self)
      )
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
      let samples = try PieceSamples(decoding: &reader, count: sampleCount)
      let text = Data(try reader.take(reader.remaining, "the description"))
      guard let description = try? JSONDecoder().decode(PieceCache.Description.self, from: text),
        description.version == PieceCache.Description.current
      else { throw damaged("It is of another version.") }
      return (description, packs, blocks, samples)
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

  /// Whether every store has the frame's pack.
  func holds(_ frame: PieceCache.Frame) -> Bool { held[Int(frame.pack)] }

  /// The first thing that could not be read: pieces were stored anew.
  var failure: ErrorReport? { firstFailure.withLock { $0 } }

  /// One of the parts; an empty one where it cannot be read.
  func load(_ number: Int) -> Part {
    guard blocks.indices.contains(number) else { return .none }
    do {
      return try read(blocks[number])
    } catch {
      let report =
        (error as? ByteReader.Malformed).map {
          ErrorReport(FingerprintCacheError.damaged(path, reason: "It is malformed: \($0.what)."))
        } ?? ErrorReport(error)
      firstFailure.withLock { $0 = $0 ?? report }
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
