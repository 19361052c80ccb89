internal import BackupModel

/// Gathers the pages of files by the pack they lie in, so that each pack is read in order of its bytes.
public struct PackBatch {
  /// Pages gathered before they are handed out: what bounds memory, whatever the size of the cluster.
  static let maximumPages = 65536
  /// Plain bytes of one task.
  static let taskBytes = 16 << 20

  private struct Key: Hashable {
    var pack: PackID
    var frame: UInt32
  }
  private var frames: [Key: (location: FrameLocation, parts: [PackTask.Part])] = [:]
  private var pages = 0

  public init() {}

  public var isFull: Bool { pages >= Self.maximumPages }

  /// Adds runs of a page map, which must cover the file, from `next` on until the batch is full: a file larger than a batch spans several.
  /// - Returns: The index of the first run not added.
  public mutating func add(_ file: FileAssembly, _ map: PageMap, from next: Int) -> Int {
    var index = next
    while index < map.runs.count, !isFull {
      add(file, map, index, stretch: nil)
      index += 1
    }
    return index
  }

  /// Adds all runs of a page map and hands out what is full meanwhile. Scattered pages are joined to stretches where
  /// that takes little memory.
  public mutating func add(
    _ file: FileAssembly, joining map: PageMap, _ body: (PackTask) throws -> Void
  ) rethrows {
    let windows = PageWindow.windows(of: map)
    for window in windows {
      guard window.joins else {
        for index in window.runs {
          add(file, map, index, stretch: nil)
          if isFull { try drain(body) }
        }
        continue
      }
      // Of its own, so that what waits in memory is soon complete.
      var batch = PackBatch()
      for group in window.groups(of: map) {
        let stretch = group.count > 1 ? PageStretch(map.runs[group]) : nil
        for index in group { batch.add(file, map, index, stretch: stretch) }
      }
      try batch.drain(body)
    }
  }

  private mutating func add(_ file: FileAssembly, _ map: PageMap, _ index: Int, stretch: PageStretch?) {
    let run = map.runs[index]
    let frame = map.frames[Int(run.frame)]
    let key = Key(pack: map.packs[Int(frame.pack)], frame: frame.location.number)
    frames[key, default: (frame.location, [])].parts.append(
      .init(file: file, firstPage: run.firstPage, count: run.count, slot: run.slot, stretch: stretch))
    pages += Int(run.count)
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
