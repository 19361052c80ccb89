internal import BackupModel
internal import CLinux
internal import Checksums
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Writes pages into files that exist already. One per worker; the file written last stays open.
final class FileWriter {
  private final class Open {
    let file: FileAssembly
    private let descriptor: Descriptor
    private var isDirect: Bool
    /// Bytes the disk has not been asked to write yet.
    private var waiting = 0

    init(_ file: FileAssembly, direct: Bool) throws(FileError) {
      self.file = file
      isDirect = direct
      let past = direct ? backupd_open_direct() : 0
      descriptor = try Descriptor(opening: file.path, O_WRONLY | O_NOFOLLOW | past)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws {
      if isDirect {
        do throws(FileError) {
          return try descriptor.writeAll(bytes, at: offset)
        } catch {
          // A disk that asks for more alignment than any that is known.
          guard error.code == EINVAL, fcntl(descriptor.number, F_SETFL, 0) == 0 else { throw error }
          isDirect = false
        }
      }
      try descriptor.writeAll(bytes, at: offset)
      waiting += bytes.count
      if waiting >= FileWriter.writingStep { beginWriting() }
    }

    /// The disk begins while the processors go on; otherwise it would be idle now, and they later.
    ///
    /// A hint alone: what makes it durable, and reports what went wrong, is the sync at the end.
    private func beginWriting() {
      let write: UInt32 = 2  // SYNC_FILE_RANGE_WRITE
      waiting = 0
      _ = backupd_sync_file_range(descriptor.number, 0, 0, write)
    }
  }
  private static let writingStep = 16 << 20
  /// Files from this size on are written past the page cache.
  static let directSize: UInt64 = 1 << 20
  /// What disks ask of a write past it, at most.
  static let directAlignment = 4096
  private let reader: PackReader
  private let packs: PackHeaders
  private let rooms: StretchRooms
  private let backup: BackupID
  private let pages: RestoredPages?
  /// The file looked at last, and its first block where its pages have checksums.
  private var looked: (file: FileAssembly, firstBlock: UInt32?)?
  private var open: Open?

  init(_ packs: PackHeaders, _ backup: BackupID, _ rooms: StretchRooms, _ pages: RestoredPages?) throws {
    self.pages = pages
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
    if let pages { look(at: bytes, part, pages) }
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

  private func look(at bytes: UnsafeRawBufferPointer, _ part: PackTask.Part, _ pages: RestoredPages) {
    if looked?.file !== part.file { looked = (part.file, RelationFile.firstBlock(part.file.entry.path)) }
    guard let firstBlock = looked?.firstBlock else { return }
    pages.look(at: bytes, of: part.file, firstPage: part.firstPage, firstBlock: firstBlock)
  }

  private func write(_ bytes: UnsafeRawBufferPointer, to file: FileAssembly, at page: UInt32) throws {
    if open?.file !== file {
      open = nil
      open = try Self.open(file)
    }
    try open!.write(bytes, at: Int64(page) * Int64(SealedFormat.slotSize))
  }

  /// Not every file system can be written past its cache; those that cannot say so here.
  private static func open(_ file: FileAssembly) throws -> Open {
    guard file.isDirect else { return try Open(file, direct: false) }
    do throws(FileError) {
      return try Open(file, direct: true)
    } catch {
      guard error.code == EINVAL else { throw error }
      return try Open(file, direct: false)
    }
  }
}
