internal import BackupModel
internal import Compression
internal import Cryptography
import Synchronization

/// What becomes of a changed page before it is stored.
public enum ChangedPageVerdict: Sendable {
  /// It is stored as it is.
  case asRead
  /// It was read again in place.
  case readAgain
}

/// Looks at changed pages of relation forks before they are stored.
public protocol ChangedPageCheck: Sendable {
  /// - Parameter index: Of the page within the piece.
  func check(_ frame: PageFrame, _ piece: PageFrame.Piece, _ index: Int) throws -> ChangedPageVerdict
}

extension BackupWriter {
  /// Finds changed pages, gathers them in frames, compresses and seals these. One per thread.
  public final class Worker {
    /// What is stored of a piece: a bit a page, the first page the lowest.
    struct Marks {
      var stored: UInt32 = 0
      var checksum: UInt32 = 0
    }

    private let writer: BackupWriter
    private let compressor: ZstdCompressor
    private let fingerprinter: PageFingerprinter
    private let scratch: UnsafeMutableRawBufferPointer
    private let fingerprints: UnsafeMutableBufferPointer<Fingerprint>
    private var marks: [Marks] = []
    private var epoch: Int
    /// Changed pages on their way into a frame together.
    private let collected = UnsafeMutableRawBufferPointer.allocate(
      byteCount: SealedFormat.maximumFrame, alignment: 4096)
    private let collectedFingerprints: UnsafeMutableBufferPointer<Fingerprint>
    private var places: [(file: Int, page: UInt32)] = []

    public init(_ writer: BackupWriter) throws {
      self.writer = writer
      compressor = try ZstdCompressor(level: writer.options.level)
      fingerprinter = try writer.repository.keys.current.makeFingerprinter()
      scratch = .allocate(byteCount: ZstdCompressor.bound(SealedFormat.maximumFrame), alignment: 64)
      fingerprints = .allocate(capacity: SealedFormat.slotsPerFrame)
      fingerprints.initialize(repeating: Fingerprint(low: 0, high: 0))
      collectedFingerprints = .allocate(capacity: SealedFormat.slotsPerFrame)
      collectedFingerprints.initialize(repeating: Fingerprint(low: 0, high: 0))
      epoch = writer.epoch.load(ordering: .relaxed)
    }
    deinit {
      scratch.deallocate()
      fingerprints.deallocate()
      collected.deallocate()
      collectedFingerprints.deallocate()
    }

    /// Takes over or stores all pages of a frame whose pieces were announced. The frame may be used again on return.
    public func process(_ frame: PageFrame, check: (any ChangedPageCheck)? = nil) throws {
      let epoch = writer.epoch.load(ordering: .relaxed)
      if epoch != self.epoch {
        self.epoch = epoch
        try flush()
      }
      let parents = writer.parents(of: frame)
      try fingerprinter.fingerprint(
        frame.bytes, into: UnsafeMutableBufferPointer(rebasing: fingerprints[..<frame.slots]))
      marks.removeAll(keepingCapacity: true)
      var stored = 0
      for (index, piece) in frame.pieces.enumerated() {
        let found = try mark(frame, piece, parents[index], check)
        stored += found.stored.nonzeroBitCount
        marks.append(found)
      }
      try writer.processed(frame, UnsafeBufferPointer(fingerprints), marks)
      if stored == 0 { return }
      if stored == SealedFormat.slotsPerFrame { return try storeWhole(frame) }
      try collect(frame)
    }

    private func mark(
      _ frame: PageFrame, _ piece: PageFrame.Piece, _ parent: ParentFile?, _ check: (any ChangedPageCheck)?
    ) throws -> Marks {
      var marks = Marks()
      let whole = piece.byteCount / SealedFormat.slotSize
      var changed = 0
      for index in 0..<piece.count {
        let slot = piece.slot + index
        let page = piece.firstPage + UInt32(index)
        var isStored = writer.isStored(parent, page, fingerprints[slot], &changed)
        // A page of a relation that ends within a block has no checksum of its own.
        if isStored, let check, piece.firstBlock != nil, index < whole,
          try check.check(frame, piece, index) == .readAgain
        {
          let bytes = UnsafeRawBufferPointer(frame.slot(slot))
          try fingerprinter.fingerprint(bytes, into: UnsafeMutableBufferPointer(rebasing: fingerprints[slot...slot]))
          var ignored = 0
          isStored = writer.isStored(parent, page, fingerprints[slot], &ignored)
        }
        if isStored { marks.stored |= 1 << UInt32(index) }
      }
      writer.changed.add(changed, ordering: .relaxed)
      if piece.checksums {
        let start = piece.slot * SealedFormat.slotSize
        marks.checksum = FileChecksum.piece(
          UnsafeRawBufferPointer(rebasing: frame.bytes[start..<(start + piece.byteCount)]))
      }
      return marks
    }

    /// A frame all of whose pages are new needs no copy.
    private func storeWhole(_ frame: PageFrame) throws {
      let (pack, location) = try seal(frame.bytes, UnsafeBufferPointer(rebasing: fingerprints[..<frame.slots]))
      try writer.stored(
        frame.pieces.lazy.map { ($0.file, $0.firstPage, UInt32($0.count), UInt32($0.slot)) }, in: pack, at: location)
    }

    private func collect(_ frame: PageFrame) throws {
      for (piece, marks) in zip(frame.pieces, marks) {
        var rest = marks.stored
        while rest != 0 {
          let index = rest.trailingZeroBitCount
          rest &= rest - 1
          let target = places.count * SealedFormat.slotSize
          UnsafeMutableRawBufferPointer(rebasing: collected[target..<(target + SealedFormat.slotSize)])
            .copyMemory(from: UnsafeRawBufferPointer(frame.slot(piece.slot + index)))
          collectedFingerprints[places.count] = fingerprints[piece.slot + index]
          places.append((piece.file, piece.firstPage + UInt32(index)))
          if places.count == SealedFormat.slotsPerFrame { try flush() }
        }
      }
    }

    /// Stores the pages gathered so far.
    private func flush() throws {
      guard !places.isEmpty else { return }
      let bytes = UnsafeRawBufferPointer(rebasing: collected[..<(places.count * SealedFormat.slotSize)])
      let (pack, location) = try seal(bytes, UnsafeBufferPointer(rebasing: collectedFingerprints[..<places.count]))
      let pages = places.enumerated().map { ($1.file, $1.page, UInt32(1), UInt32($0)) }
      places.removeAll(keepingCapacity: true)
      try writer.stored(pages, in: pack, at: location)
    }

    private func seal(
      _ bytes: UnsafeRawBufferPointer, _ fingerprints: UnsafeBufferPointer<Fingerprint>
    ) throws -> (PackID, FrameLocation) {
      let count = try compressor.compress(bytes, into: scratch)
      return try writer.packs.append(
        compressed: UnsafeRawBufferPointer(rebasing: scratch[..<count]), plainLength: bytes.count,
        fingerprints: fingerprints)
    }

    /// No more frames come: what was gathered is stored.
    public func finish() throws { try flush() }
  }

  func parents(of frame: PageFrame) -> [ParentFile?] {
    lock.withLock { _ in frame.pieces.map { openFiles[$0.file]!.parent } }
  }

  /// Whether a page is to be stored.
  /// - Parameter changed: Counted up where the parent does not have it.
  func isStored(_ parent: ParentFile?, _ page: UInt32, _ fingerprint: Fingerprint, _ changed: inout Int) -> Bool {
    switch parent?.match(page, fingerprint) ?? .differs {
    case .differs:
      changed += 1
      return true
    case .same:
      return false
    case .lost:
      rewritten.add(1, ordering: .relaxed)
      return true
    case .sparse:
      // At most as many as changed: no backup bursts into a full.
      guard rewritten.load(ordering: .relaxed) < self.changed.load(ordering: .relaxed) else { return false }
      rewritten.add(1, ordering: .relaxed)
      return true
    }
  }

  /// Notes what workers found out about a frame's pages, before changed ones are stored.
  func processed(
    _ frame: PageFrame, _ fingerprints: UnsafeBufferPointer<Fingerprint>, _ marks: [Worker.Marks]
  ) throws {
    try lock.withLock { _ in
      var bytes = 0
      var pages = 0
      for (piece, marks) in zip(frame.pieces, marks) {
        let file = openFiles[piece.file]!
        file.set(
          UnsafeBufferPointer(rebasing: fingerprints[piece.slot..<(piece.slot + piece.count)]), from: piece.firstPage)
        noteUnchanged(piece, marks.stored, file)
        if piece.checksums {
          var checksum = file.checksum ?? FileChecksum()
          checksum.add(firstPage: piece.firstPage, length: piece.byteCount, crc: marks.checksum)
          file.checksum = checksum
        }
        file.pendingPages += marks.stored.nonzeroBitCount
        pages += marks.stored.nonzeroBitCount
        file.pendingPieces -= 1
        bytes += piece.byteCount
        try finishIfDone(piece.file)
      }
      try checkpointIfDue(after: bytes, stored: pages)
    }
  }

  private func noteUnchanged(_ piece: PageFrame.Piece, _ stored: UInt32, _ file: OpenFile) {
    let all = piece.count == 32 ? UInt32.max : (1 << UInt32(piece.count)) - 1
    if stored == 0 {
      file.unchanged.insert(piece.firstPage, count: UInt32(piece.count))
    } else if stored != all {
      for index in 0..<UInt32(piece.count) where stored & (1 << index) == 0 {
        file.unchanged.insert(piece.firstPage + index)
      }
    }
    let last = UInt32(piece.count) - 1
    let short = piece.count * SealedFormat.slotSize - piece.byteCount
    let isLastStored = stored & (1 << last) != 0
    newBytes += UInt64(stored.nonzeroBitCount * SealedFormat.slotSize - (isLastStored ? short : 0))
  }

  /// Notes where pages lie now.
  func stored(
    _ runs: some Sequence<(Int, UInt32, UInt32, UInt32)>, in pack: PackID, at location: FrameLocation
  ) throws {
    try lock.withLock { _ in
      for (number, page, count, slot) in runs {
        let file = openFiles[number]!
        file.assembly.add(firstPage: page, count: count, slot: slot, pack: pack, location: location)
        file.pendingPages -= Int(count)
        try finishIfDone(number)
      }
    }
  }
}
