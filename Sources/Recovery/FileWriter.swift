internal import BackupModel
internal import CLinux
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Writes pages into files that exist already. One per worker; the file written last stays open.
final class FileWriter {
  private final class Open {
    let file: FileAssembly
    let descriptor: Descriptor
    /// Bytes the disk has not been asked to write yet.
    var waiting = 0
    init(_ file: FileAssembly) throws {
      self.file = file
      descriptor = try Descriptor(opening: file.path, O_WRONLY | O_NOFOLLOW)
    }

    /// The disk begins while the processors go on; otherwise it would be idle now, and they later.
    ///
    /// A hint alone: what makes it durable, and reports what went wrong, is the sync at the end.
    func beginWriting() {
      let write: UInt32 = 2  // SYNC_FILE_RANGE_WRITE
      waiting = 0
      _ = backupd_sync_file_range(descriptor.number, 0, 0, write)
    }
  }
  private static let writingStep = 16 << 20
  private let reader: PackReader
  private let packs: PackHeaders
  private let rooms: StretchRooms
  private let backup: BackupID
  private var open: Open?

  init(_ packs: PackHeaders, _ backup: BackupID, _ rooms: StretchRooms) throws {
    reader = try PackReader(packs)
    self.packs = packs
    self.rooms = rooms
    self.backup = backup
  }

  /// - Parameter written: Gets the bytes of each run.
  func run(_ task: PackTask, written: (Int) throws -> Void) throws {
    try packs.check(task.pack)
    try reader.read(task.pack, task.frames) { index, bytes in
      for part in task.parts[index] { try written(try write(part, of: bytes)) }
    }
  }

  private func write(_ part: PackTask.Part, of frame: UnsafeRawBufferPointer) throws -> Int {
    let bytes = part.bytes(in: frame)
    let file = part.file
    // Here the bytes are in the processor's cache.
    let crc = FileChecksum.piece(bytes)
    if let stretch = part.stretch {
      if let room = stretch.add(bytes, firstPage: part.firstPage, count: part.count, in: rooms) {
        defer { rooms.giveBack(room) }
        let length = file.length(firstPage: stretch.firstPage, count: stretch.count)
        try write(UnsafeRawBufferPointer(rebasing: room.bytes[..<length]), to: file, at: stretch.firstPage)
      }
    } else {
      try write(bytes, to: file, at: part.firstPage)
    }
    switch file.add(firstPage: part.firstPage, count: part.count, length: bytes.count, crc: crc) {
    case .incomplete: break
    case .complete: open = nil
    case .differs: throw RecoveryError.fileDiffers(file.entry.path, backup)
    }
    return bytes.count
  }

  private func write(_ bytes: UnsafeRawBufferPointer, to file: FileAssembly, at page: UInt32) throws {
    if open?.file !== file {
      open = nil
      open = try Open(file)
    }
    try open!.descriptor.writeAll(bytes, at: Int64(page) * Int64(SealedFormat.slotSize))
    open!.waiting += bytes.count
    if open!.waiting >= Self.writingStep { open!.beginWriting() }
  }
}
