public import BackupModel
import Synchronization

/// A file whose pages come from several workers in any order: whole when all are there, proven by its checksum.
public final class FileAssembly: Sendable {
  public enum Progress: Sendable { case incomplete, complete, differs }

  /// Where the content goes, for whoever writes it.
  public let path: String
  public let entry: ManifestFile
  /// Whether it is written past the page cache, in aligned pieces that are worth a request to the disk each.
  public let isDirect: Bool
  private struct State {
    var missing: UInt64
    var checksum = FileChecksum()
  }
  private let state: Mutex<State>

  public init(path: String, entry: ManifestFile, isDirect: Bool = false) {
    self.path = path
    self.entry = entry
    self.isDirect = isDirect
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
    /// What it is written together with; nil where it is long enough to be written alone.
    public var stretch: PageStretch?

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
