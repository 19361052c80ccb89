internal import BackupModel
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Writes pages into files that exist already. One per worker; the file written last stays open.
final class FileWriter {
  private final class Open {
    let file: FileInProgress
    let descriptor: Descriptor
    init(_ file: FileInProgress) throws {
      self.file = file
      descriptor = try Descriptor(opening: file.path, O_WRONLY | O_NOFOLLOW)
    }
  }
  private let reader: PackReader
  private let backup: BackupID
  private var open: Open?

  init(_ repository: Repository, _ lineage: Lineage, _ backup: BackupID) throws {
    reader = try PackReader(repository, lineage)
    self.backup = backup
  }

  /// - Parameter written: Gets the bytes of each run.
  func run(_ task: CopyTask, written: (Int) throws -> Void) throws {
    try reader.read(task.pack, task.frames) { index, bytes in
      for part in task.parts[index] { try written(try write(part, of: bytes)) }
    }
  }

  private func write(_ part: CopyTask.Part, of frame: UnsafeRawBufferPointer) throws -> Int {
    let length = part.file.length(firstPage: part.firstPage, count: part.count)
    let start = Int(part.slot) * SealedFormat.slotSize
    let bytes = UnsafeRawBufferPointer(rebasing: frame[start..<(start + length)])
    let crc = FileChecksum.piece(bytes)
    if open?.file !== part.file {
      open = nil
      open = try Open(part.file)
    }
    try open!.descriptor.writeAll(bytes, at: Int64(part.firstPage) * Int64(SealedFormat.slotSize))
    let isComplete = try part.file.finished(
      firstPage: part.firstPage, count: part.count, length: length, crc: crc, of: backup)
    if isComplete { open = nil }
    return length
  }
}
