internal import BackupModel
internal import Repository
import Synchronization

/// A file being written by several workers: complete when all its pages are there and its checksum fits.
final class FileInProgress: Sendable {
  let path: String
  let entry: ManifestFile
  private struct State {
    var missing: UInt64
    var checksum = FileChecksum()
  }
  private let state: Mutex<State>

  init(path: String, entry: ManifestFile) {
    self.path = path
    self.entry = entry
    state = Mutex(State(missing: entry.pages))
  }

  /// Bytes of a run of pages: whole pages, except at the file's end.
  func length(firstPage: UInt32, count: UInt32) -> Int {
    let start = UInt64(firstPage) * UInt64(SealedFormat.slotSize)
    return Int(min(UInt64(count) * UInt64(SealedFormat.slotSize), entry.size - start))
  }

  /// Takes note of a run that is written.
  /// - Returns: Whether the file is complete.
  /// - Throws: ``RecoveryError/fileDiffers(_:_:)`` where it is, and is not what was backed up.
  func finished(firstPage: UInt32, count: UInt32, length: Int, crc: UInt32, of backup: BackupID) throws -> Bool {
    let complete: FileChecksum? = state.withLock { state in
      state.checksum.add(firstPage: firstPage, length: length, crc: crc)
      state.missing -= UInt64(count)
      return state.missing == 0 ? state.checksum : nil
    }
    guard let complete else { return false }
    guard complete.value(size: entry.size) == entry.checksum else {
      throw RecoveryError.fileDiffers(entry.path, backup)
    }
    return true
  }
}

/// Frames of one pack and the files their pages belong to: the work of one worker at a time.
struct CopyTask: Sendable {
  struct Part: Sendable {
    var file: FileInProgress
    var firstPage: UInt32
    var count: UInt32
    var slot: UInt32
  }
  var pack: PackID
  /// Sorted by offset.
  var frames: [FrameLocation] = []
  /// For each frame.
  var parts: [[Part]] = []
}

/// Gathers the pages of files by the pack they lie in, so that each pack is read in order of its bytes.
struct CopyBatch {
  /// Pages gathered before they are handed out: what bounds memory, whatever the size of the cluster.
  static let maximumPages: UInt64 = 65536
  /// Plain bytes of one task.
  static let taskBytes = 16 << 20

  private struct Key: Hashable {
    var pack: PackID
    var frame: UInt32
  }
  private var frames: [Key: (location: FrameLocation, parts: [CopyTask.Part])] = [:]
  private(set) var pages: UInt64 = 0

  var isFull: Bool { pages >= Self.maximumPages }

  /// Adds runs of a page map from `next` on until the batch is full: a file larger than a batch spans several.
  /// - Returns: The index of the first run not added.
  mutating func add(_ file: FileInProgress, _ map: PageMap, from next: Int) -> Int {
    var index = next
    while index < map.runs.count, !isFull {
      let run = map.runs[index]
      let frame = map.frames[Int(run.frame)]
      let key = Key(pack: map.packs[Int(frame.pack)], frame: frame.location.number)
      frames[key, default: (frame.location, [])].parts.append(
        .init(file: file, firstPage: run.firstPage, count: run.count, slot: run.slot))
      pages += UInt64(run.count)
      index += 1
    }
    return index
  }

  /// Hands out what was gathered, pack by pack, and begins anew.
  mutating func drain(_ body: (CopyTask) throws -> Void) rethrows {
    let ordered = frames.sorted { a, b in
      (a.key.pack, a.value.location.offset) < (b.key.pack, b.value.location.offset)
    }
    frames.removeAll(keepingCapacity: true)
    pages = 0
    var task: CopyTask?
    var bytes = 0
    for (key, value) in ordered {
      if let full = task, full.pack != key.pack || bytes >= Self.taskBytes {
        try body(full)
        task = nil
      }
      if task == nil {
        task = CopyTask(pack: key.pack)
        bytes = 0
      }
      task!.frames.append(value.location)
      task!.parts.append(value.parts)
      bytes += Int(value.location.plainLength)
    }
    if let task { try body(task) }
  }
}
