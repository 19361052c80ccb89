internal import BackupModel
internal import Cryptography

extension DumpWriter {
  /// Cuts streams into pieces, takes over those the parent has, and fills frames with the others. Used by one thread.
  public final class Cutter {
    private static let bufferSize = 1 << 20

    private let writer: DumpWriter
    private let cutter: PieceCutter
    private let fingerprinter: PageFingerprinter
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Cutter.bufferSize, alignment: 4096)
    private let ends = UnsafeMutableBufferPointer<Int>.allocate(
      capacity: Cutter.bufferSize / PieceCutter.minimum + 1)
    private let fingerprints = UnsafeMutableBufferPointer<Fingerprint>.allocate(
      capacity: Cutter.bufferSize / PieceCutter.minimum + 1)
    private let window: ParentWindow?
    private let placements = FramePlacements()
    private let partSize: UInt64
    private var part = Part()
    private var open: FilledFrame?
    /// Of this cutter alone, all its streams together.
    private var newBytes: UInt64 = 0
    private var rewrittenBytes: UInt64 = 0

    /// What is known of the part of a stream that is being cut.
    private struct Part {
      var size: UInt64 = 0
      var checksum = CRC32C()
      var pieces: [PieceCache.Piece] = []
      /// Nil for those this run makes, until they are sealed.
      var frames: [(pack: PackID, location: FrameLocation)?] = []
      var live: [UInt32] = []
      var known: [Key: UInt32] = [:]
      var newFrames = 0
      var newPieces: UInt64 = 0
      var newBytes: UInt64 = 0
      var rewrittenBytes: UInt64 = 0

      struct Key: Hashable {
        var pack: PackID
        var number: UInt32
      }

      mutating func frame(of found: ParentWindow.Found) -> UInt32 {
        let key = Key(pack: found.pack, number: found.location.number)
        if let number = known[key] { return number }
        let number = add((found.pack, found.location))
        known[key] = number
        return number
      }

      mutating func add(_ frame: (pack: PackID, location: FrameLocation)?) -> UInt32 {
        frames.append(frame)
        live.append(0)
        return UInt32(frames.count - 1)
      }
    }

    public init(_ writer: DumpWriter) throws {
      self.writer = writer
      let share = writer.options.cutters
      window = writer.parent.map { ParentWindow($0, memory: ParentWindow.memory / share) }
      partSize = UInt64(DumpWriter.partSize / share)
      cutter = try PieceCutter(writer.repository.keys.current)
      fingerprinter = try writer.repository.keys.current.makeFingerprinter()
      ends.initialize(repeating: 0)
      fingerprints.initialize(repeating: Fingerprint(low: 0, high: 0))
    }

    deinit {
      buffer.deallocate()
      ends.deallocate()
      fingerprints.deallocate()
    }

    /// Stores a stream to its end.
    /// - Parameters:
    ///   - name: Of the stream, the first component of its entries' paths.
    ///   - read: Fills some of a buffer and says how much; 0 at the end.
    ///   - begin: Gets the first bytes, so that what is no such stream is refused early.
    public func store(
      _ name: String, begin: (UnsafeRawBufferPointer) throws -> Void = { _ in },
      _ read: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws {
      var filled = 0
      var isFirst = true
      var number = 0
      var isAtEnd = false
      while !isAtEnd || filled > 0 {
        while !isAtEnd && filled < buffer.count {
          let count = try read(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
          if count == 0 { isAtEnd = true }
          filled += count
        }
        if isFirst { try begin(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) }
        isFirst = false
        let used = try cut(filled, isAtEnd: isAtEnd)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[used..<filled]))
        filled -= used
        if part.size >= partSize { try endPart(name, &number) }
      }
      if part.size > 0 { try endPart(name, &number) }
    }

    /// - Returns: Bytes that are done; the rest may be the beginning of a longer piece.
    private func cut(_ filled: Int, isAtEnd: Bool) throws -> Int {
      var used = 0
      var count = 0
      while filled - used >= PieceCutter.maximum || (isAtEnd && used < filled) {
        used += cutter.end(of: UnsafeRawBufferPointer(rebasing: buffer[used..<filled]))
        ends[count] = used
        count += 1
      }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<used])
      try fingerprinter.fingerprint(
        pieces: UnsafeBufferPointer(rebasing: ends[..<count]), of: bytes,
        into: UnsafeMutableBufferPointer(rebasing: fingerprints[..<count]))
      part.checksum.update(bytes)
      var start = 0
      for index in 0..<count {
        try take(UnsafeRawBufferPointer(rebasing: bytes[start..<ends[index]]), fingerprints[index])
        start = ends[index]
      }
      part.size += UInt64(used)
      return used
    }

    private func take(_ piece: UnsafeRawBufferPointer, _ fingerprint: Fingerprint) throws {
      let length = UInt32(piece.count)
      let found = window?.find(fingerprint, length: length)
      if let found, !isRewritten(found, length) {
        return note(fingerprint, frame: part.frame(of: found), offset: found.offset, length)
      }
      if found == nil {
        part.newPieces += 1
        part.newBytes += UInt64(length)
        newBytes += UInt64(length)
      } else {
        part.rewrittenBytes += UInt64(length)
        rewrittenBytes += UInt64(length)
      }
      if let open, open.count + piece.count > open.bytes.count { try handOver(open) }
      if open == nil {
        guard let frame = try writer.free.pop() else { throw CancellationError() }
        frame.count = 0
        frame.number = part.add(nil)
        frame.placements = placements
        part.newFrames += 1
        open = frame
      }
      let frame = open!
      UnsafeMutableRawBufferPointer(rebasing: frame.bytes[frame.count..<(frame.count + piece.count)])
        .copyMemory(from: piece)
      note(fingerprint, frame: frame.number, offset: UInt32(frame.count), length)
      frame.count += piece.count
    }

    /// Out of a frame that is mostly dead, while that costs no more than what is new: no dump bursts into a full one.
    private func isRewritten(_ found: ParentWindow.Found, _ length: UInt32) -> Bool {
      found.isSparse && rewrittenBytes + UInt64(length) <= newBytes
    }

    private func note(_ fingerprint: Fingerprint, frame: UInt32, offset: UInt32, _ length: UInt32) {
      part.live[Int(frame)] &+= length
      part.pieces.append(
        .init(fingerprint: fingerprint, frame: frame, offset: offset, length: length, next: -1))
    }

    private func handOver(_ frame: FilledFrame) throws {
      open = nil
      try writer.filled.push(frame)
    }

    private func endPart(_ stream: String, _ number: inout Int) throws {
      if let open { try handOver(open) }
      for (frame, place) in try placements.take(part.newFrames, writer.cancellation) {
        part.frames[Int(frame)] = place
      }
      let digits = String(number)
      try writer.lock.withLock { _ in
        try note(stream + "/" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits)
      }
      number += 1
      part = Part()
    }

    /// Adds the part to what all cutters have written; the writer's lock is held.
    private func note(_ path: String) throws {
      let (map, frames) = placed()
      writer.table.append(
        ManifestFile(
          path: path, kind: .streamPart, mode: 0, modified: 0, size: part.size, checksum: part.checksum.value,
          pageMap: try writer.metadata.append(map)))
      writer.totalBytes += part.size
      writer.pieces += UInt64(part.pieces.count)
      writer.newPieces += part.newPieces
      writer.newBytes += part.newBytes
      writer.rewrittenBytes += part.rewrittenBytes
      if writer.cacheFailure == nil, writer.cache != nil {
        do { try writer.cache!.append(path, frames, part.pieces) } catch { writer.cacheFailure = ErrorReport(error) }
      }
    }

    /// The part's map, and its frames as the cache has them.
    private func placed() -> (PieceMap, [PieceCache.Frame]) {
      var map = PieceMap()
      var frames: [PieceCache.Frame] = []
      var positions: [PackID: UInt32] = [:]
      for (index, frame) in part.frames.enumerated() {
        guard let frame else { preconditionFailure("a frame was never sealed") }
        if positions[frame.pack] == nil {
          positions[frame.pack] = UInt32(map.packs.count)
          map.packs.append(frame.pack)
        }
        map.frames.append(.init(pack: positions[frame.pack]!, location: frame.location))
        let position = writer.usage.position(of: frame.pack)
        writer.usage.add(frame.location, in: position)
        frames.append(.init(pack: position, location: frame.location, live: part.live[index]))
      }
      for piece in part.pieces { map.append(frame: piece.frame, offset: piece.offset, length: piece.length) }
      return (map, frames)
    }
  }
}
