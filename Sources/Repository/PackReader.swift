public import BackupModel
internal import Compression
internal import Cryptography
internal import Storage

/// Opens frames of packs for a restore, pack by pack, from the first store that has them whole. One per thread.
public final class PackReader {
  /// Neighbouring frames are read together up to so many bytes: most tasks in one request, of which each takes as long as
  /// several mebibytes.
  static let readSize = 8 << 20

  private struct OpenPack {
    var header: [UInt8]
    var cipher: AESGCMBox
  }
  /// A cipher is not copyable; the cache needs something that is.
  private final class AESGCMBox {
    let cipher: AESGCM
    init(_ key: SymmetricKey) throws { cipher = try AESGCM(key: key, for: .open) }
  }

  private let repository: Repository
  private let lineage: Lineage
  private let headers: PackHeaders
  private let decompressor: ZstdDecompressor
  private let sealed: UnsafeMutableRawBufferPointer
  /// For a frame read alone, so that what was read together stays.
  private let alone: UnsafeMutableRawBufferPointer
  private let compressed: UnsafeMutableRawBufferPointer
  private let plain: UnsafeMutableRawBufferPointer
  private var pack: PackID?
  /// Of the packs read from lately: scattered pages come from many, again and again.
  private var opened: [PackID: [StoreID: OpenPack]] = [:]
  static let openPacks = 1024

  /// - Parameter headers: Shared by the readers of one restore.
  public init(_ headers: PackHeaders) throws {
    repository = headers.repository
    lineage = headers.lineage
    self.headers = headers
    decompressor = try ZstdDecompressor()
    sealed = .allocate(byteCount: Self.readSize + (1 << 20), alignment: 4096)
    alone = .allocate(byteCount: 1 << 20, alignment: 4096)
    compressed = .allocate(byteCount: 1 << 20, alignment: 64)
    plain = .allocate(byteCount: SealedFormat.maximumFrame, alignment: 4096)
  }
  deinit {
    sealed.deallocate()
    alone.deallocate()
    compressed.deallocate()
    plain.deallocate()
  }

  /// Hands out frames of one pack, opened and expanded, in the order given.
  /// - Parameters:
  ///   - frames: Sorted by offset.
  ///   - body: Gets the index into `frames` and the plain bytes, valid during the call.
  /// - Throws: ``RepositoryError/damaged(_:in:reason:)`` or `StorageError` with the pack's name where no store has a
  ///   frame whole.
  public func read(
    _ pack: PackID, _ frames: [FrameLocation], _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if opened.count >= Self.openPacks, opened[pack] == nil { opened = [:] }
    self.pack = pack
    var first = 0
    while first < frames.count {
      var last = first
      var end = UInt64(frames[first].offset) + UInt64(frames[first].sealedLength)
      let start = UInt64(frames[first].offset)
      while last + 1 < frames.count, UInt64(frames[last + 1].offset) == end,
        end + UInt64(frames[last + 1].sealedLength) - start <= UInt64(Self.readSize)
      {
        last += 1
        end += UInt64(frames[last].sealedLength)
      }
      try readRun(pack, Array(frames[first...last]), firstIndex: first, body)
      first = last + 1
    }
  }

  /// Frames that lie one after another: one read, or one by one from other stores where that does not open.
  private func readRun(
    _ pack: PackID, _ frames: [FrameLocation], firstIndex: Int,
    _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let name = lineage.pack(pack)
    let start = frames[0].offset
    let length = frames.reduce(0) { $0 + Int($1.sealedLength) }
    let together = length <= sealed.count && fill(name, repository.stores[0], at: start, length: length)
    for (index, frame) in frames.enumerated() {
      var bytes: UnsafeRawBufferPointer?
      if together {
        let offset = Int(frame.offset - start)
        let mine = UnsafeRawBufferPointer(rebasing: sealed[offset..<(offset + Int(frame.sealedLength))])
        bytes = try? open(mine, frame, name, repository.stores[0])
      }
      if bytes == nil {
        bytes = try repository.firstAnswer(for: name) { store in try readOne(frame, name, store) }
      }
      try body(firstIndex + index, bytes!)
    }
  }

  private func fill(_ name: ObjectName, _ store: RepositoryStore, at offset: UInt32, length: Int) -> Bool {
    let room = UnsafeMutableRawBufferPointer(rebasing: sealed[..<length])
    // The reason is found when each frame is asked for alone.
    return (try? store.objects.read(name, at: Int64(offset), into: room)) != nil
  }

  private func readOne(
    _ frame: FrameLocation, _ name: ObjectName, _ store: RepositoryStore
  ) throws -> UnsafeRawBufferPointer {
    guard Int(frame.sealedLength) <= alone.count else {
      throw RepositoryError.damaged(name, in: store.id, reason: "A page map names a frame longer than any.")
    }
    let room = UnsafeMutableRawBufferPointer(rebasing: alone[..<Int(frame.sealedLength)])
    do {
      try store.objects.read(name, at: Int64(frame.offset), into: room)
    } catch StorageError.truncated(_, _, let expected, let found) {
      throw RepositoryError.damaged(
        name, in: store.id, reason: "It ends at \(found) bytes, within a frame that ends at \(expected).")
    }
    return try open(UnsafeRawBufferPointer(room), frame, name, store)
  }

  private func open(
    _ bytes: UnsafeRawBufferPointer, _ frame: FrameLocation, _ name: ObjectName, _ store: RepositoryStore
  ) throws -> UnsafeRawBufferPointer {
    let opened = try openPack(name, store)
    let count = bytes.count - AESGCM.tagSize
    guard count >= 0, count <= compressed.count, Int(frame.plainLength) <= plain.count else {
      throw RepositoryError.damaged(name, in: store.id, reason: "A page map names a frame that cannot be.")
    }
    let target = UnsafeMutableRawBufferPointer(rebasing: compressed[..<count])
    let result = UnsafeMutableRawBufferPointer(rebasing: plain[..<Int(frame.plainLength)])
    do {
      try opened.header.withUnsafeBytes {
        try opened.cipher.cipher.open(bytes, nonce: UInt64(frame.number), associated: $0, into: target)
      }
      try decompressor.expand(UnsafeRawBufferPointer(target), into: result)
    } catch is CryptographyError {
      throw RepositoryError.damaged(
        name, in: store.id,
        reason: "Its frame \(frame.number) does not open: the bytes were changed, or lay elsewhere.")
    } catch let error as CompressionError {
      throw RepositoryError.damaged(
        name, in: store.id, reason: "Its frame \(frame.number) does not expand: \(error.detail ?? error.summary)")
    }
    return UnsafeRawBufferPointer(result)
  }

  private func openPack(_ name: ObjectName, _ store: RepositoryStore) throws -> OpenPack {
    if let pack, let open = opened[pack]?[store.id] { return open }
    let header = try headers.header(of: name, in: store)
    let key = try SealedObjectReader.key(header, .pack, name, store.id, repository.keys)
    let open = OpenPack(header: header, cipher: try AESGCMBox(key))
    if let pack { opened[pack, default: [:]][store.id] = open }
    return open
  }
}
