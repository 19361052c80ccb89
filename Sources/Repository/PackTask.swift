public import BackupModel
import Synchronization

/// A file whose pages come from several workers in any order: whole when all are there, proven by its checksum.
public final class FileAssembly: Sendable {
  public enum Progress: Sendable { case incomplete, complete, differs }

  /// Where the content goes, for whoever writes it.
  public let path: String
  public let entry: ManifestFile
  private struct State {
    var missing: UInt64
    var checksum = FileChecksum()
  }
  private let state: Mutex<State>

  public init(path: String, entry: ManifestFile) {
    self.path = path
    self.entry = entry
    state = Mutex(State(missing: entry.pages))
  }

  /// Bytes of a run of pages: whole pages, except at the file's end.
  public func length(firstPage: UInt32, count: UInt32) -> Int {
    let start = UInt64(firstPage) * UInt64(SealedFormat.slotSize)
    return Int(min(UInt64(count) * UInt64(SealedFormat.slotSize), entry.size - start))
  }

  /// Takes note of a run whose bytes were seen.
  /// - Parameter crc: ``FileChecksum/piece(_:)`` of them.
  public func add(firstPage: UInt32, count: UInt32, length: Int, crc: UInt32) -> Progress {
    let complete: FileChecksum? = state.withLock { state in
      state.checksum.add(firstPage: firstPage, length: length, crc: crc)
      state.missing -= UInt64(count)
      return state.missing == 0 ? state.checksum : nil
    }
    guard let complete else { return .incomplete }
    return complete.value(size: entry.size) == entry.checksum ? .complete : .differs
  }
}

/// Frames of one pack and the files their pages belong to: the work of one worker at a time.
public struct PackTask: Sendable {
  /// Consecutive pages of a file in consecutive slots of a frame.
  public struct Part: Sendable {
    public var file: FileAssembly
    public var firstPage: UInt32
    public var count: UInt32
    public var slot: UInt32

    /// The bytes of the run in the frame's plain bytes.
    public func bytes(in frame: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
      let start = Int(slot) * SealedFormat.slotSize
      return UnsafeRawBufferPointer(
        rebasing: frame[start..<(start + file.length(firstPage: firstPage, count: count))])
    }
  }
  public var pack: PackID
  /// Sorted by offset.
  public var frames: [FrameLocation] = []
  /// For each frame.
  public var parts: [[Part]] = []
}

/// Gathers the pages of files by the pack they lie in, so that each pack is read in order of its bytes.
public struct PackBatch {
  /// Pages gathered before they are handed out: what bounds memory, whatever the size of the cluster.
  static let maximumPages: UInt64 = 65536
  /// Plain bytes of one task.
  static let taskBytes = 16 << 20

  private struct Key: Hashable {
    var pack: PackID
    var frame: UInt32
  }
  private var frames: [Key: (location: FrameLocation, parts: [PackTask.Part])] = [:]
  private var pages: UInt64 = 0

  public init() {}

  public var isFull: Bool { pages >= Self.maximumPages }

  /// Adds runs of a page map, which must cover the file, from `next` on until the batch is full: a file larger than a batch spans several.
  /// - Returns: The index of the first run not added.
  public mutating func add(_ file: FileAssembly, _ map: PageMap, from next: Int) -> Int {
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
  public mutating func drain(_ body: (PackTask) throws -> Void) rethrows {
    let ordered = frames.sorted { a, b in
      (a.key.pack, a.value.location.offset) < (b.key.pack, b.value.location.offset)
    }
    frames.removeAll(keepingCapacity: true)
    pages = 0
    var task: PackTask?
    var bytes = 0
    for (key, value) in ordered {
      if let full = task, full.pack != key.pack || bytes >= Self.taskBytes {
        try body(full)
        task = nil
      }
      if task == nil {
        task = PackTask(pack: key.pack)
        bytes = 0
      }
      task!.frames.append(value.location)
      task!.parts.append(value.parts)
      bytes += Int(value.location.plainLength)
    }
    if let task { try body(task) }
  }
}
