internal import BackupModel
internal import BlockingWork
internal import Checksums
internal import Cryptography
internal import Repository

/// Cuts file contents into slots of 8 KiB and hands full frames to the workers.
///
/// Small files share frames. Checksums come from the same pass over the bytes.
struct FrameFiller: ~Copyable {
  private struct OpenFile {
    var number: Int
    var path: String
    var firstBlock: UInt32?
    var page: UInt32 = 0
    var size: UInt64 = 0
    var checksum = CRC32C()
  }

  private let writer: BackupWriter
  /// Takes a full frame and gives an empty one.
  private let exchange: (PageFrame) throws -> PageFrame
  private let close: () -> Void
  private var frame: PageFrame
  /// Bytes used of the frame.
  private var position = 0
  private var file: OpenFile?

  /// For workers on other threads.
  init(_ writer: BackupWriter, free: BoundedRing<PageFrame>, filled: BoundedRing<PageFrame>) throws {
    self.writer = writer
    exchange = { full in
      try filled.push(full)
      guard let next = try free.pop() else { throw CancellationError() }
      return next
    }
    close = { filled.close() }
    guard let frame = try free.pop() else { throw CancellationError() }
    self.frame = frame
  }

  /// For a worker on the same thread.
  init(_ writer: BackupWriter, _ worker: BackupWriter.Worker) throws {
    self.writer = writer
    exchange = { full in
      try worker.process(full)
      return full
    }
    close = {}
    frame = PageFrame()
  }

  /// - Parameter path: As in the manifest.
  mutating func begin(_ path: String) {
    file = OpenFile(number: writer.beginFile(path), path: path, firstBlock: RelationFile.firstBlock(path))
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
    guard file != nil else { return }
    file!.checksum.update(bytes)
    file!.size += UInt64(bytes.count)
    var rest = bytes
    while rest.count > 0 {
      if position == SealedFormat.maximumFrame { try handOver() }
      if position % SealedFormat.slotSize == 0 { beginSlot() }
      // Up to the end of the slot, then whole slots, then a part of one.
      let inSlot = SealedFormat.slotSize - position % SealedFormat.slotSize
      let count = min(inSlot, rest.count)
      (frame.base + position).copyMemory(from: rest.baseAddress!, byteCount: count)
      position += count
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  private mutating func beginSlot() {
    let slot = position / SealedFormat.slotSize
    let page = file!.page
    file!.page += 1
    if let last = frame.pieces.indices.last, frame.pieces[last].file == file!.number {
      frame.pieces[last].count += 1
      frame.pieces[last].byteCount += SealedFormat.slotSize
      return
    }
    writer.announcePiece(of: file!.number)
    frame.pieces.append(
      PageFrame.Piece(
        file: file!.number, path: file!.path, firstPage: page, slot: slot, count: 1,
        byteCount: SealedFormat.slotSize, firstBlock: file!.firstBlock.map { $0 &+ page }))
  }

  /// Closes the file begun last; its last page is padded with zeros in its slot.
  /// - Returns: Its size and the CRC-32C of its content.
  mutating func end(
    kind: ManifestFile.Kind, mode: UInt16, modified: Int64
  ) throws -> (size: UInt64, checksum: UInt32) {
    guard let done = file else { preconditionFailure("no file was begun") }
    file = nil
    let inSlot = position % SealedFormat.slotSize
    if inSlot != 0 {
      let padding = SealedFormat.slotSize - inSlot
      (frame.base + position).initializeMemory(as: UInt8.self, repeating: 0, count: padding)
      position += padding
      frame.pieces[frame.pieces.count - 1].byteCount -= padding
    }
    try writer.endFile(
      done.number,
      ManifestFile(
        path: done.path, kind: kind, mode: mode, modified: modified, size: done.size, checksum: done.checksum.value))
    return (done.size, done.checksum.value)
  }

  /// Hands over what there is, between two files.
  mutating func flush() throws {
    if position > 0 { try handOver() }
  }

  /// Hands the last frame over and lets the workers end.
  mutating func finish() throws {
    try flush()
    close()
  }

  private mutating func handOver() throws {
    frame.slots = position / SealedFormat.slotSize
    let next = try exchange(frame)
    next.clear()
    frame = next
    position = 0
  }
}
