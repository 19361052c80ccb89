public import BackupModel

extension PageMap {
  /// Assembles a map from runs found in any order.
  public struct Assembly: Sendable {
    private var packIndex: [PackID: UInt32] = [:]
    private var frameIndex: [FrameKey: UInt32] = [:]
    private var map = PageMap()
    /// Pages in runs so far.
    public private(set) var pages = 0
    private struct FrameKey: Hashable {
      var pack: UInt32
      var number: UInt32
    }

    public init() {}

    public mutating func add(firstPage: UInt32, count: UInt32, slot: UInt32, pack: PackID, location: FrameLocation) {
      let frame = frame(location, in: self.pack(pack))
      append(Run(firstPage: firstPage, count: count, frame: frame, slot: slot))
    }

    private mutating func append(_ run: Run) {
      pages += Int(run.count)
      map.runs.append(run)
    }

    private mutating func pack(_ id: PackID) -> UInt32 {
      if let number = packIndex[id] { return number }
      let number = UInt32(map.packs.count)
      map.packs.append(id)
      packIndex[id] = number
      return number
    }

    private mutating func frame(_ location: FrameLocation, in pack: UInt32) -> UInt32 {
      let key = FrameKey(pack: pack, number: location.number)
      if let number = frameIndex[key] { return number }
      let number = UInt32(map.frames.count)
      map.frames.append(Frame(pack: pack, location: location))
      frameIndex[key] = number
      return number
    }

    /// Takes over another map's places for the pages of a set, and takes these out of the set.
    mutating func take(_ pages: inout PageSet, from other: PageMap) {
      // Each of its frames is looked up once, not each of its runs.
      var numbers = [UInt32?](repeating: nil, count: other.frames.count)
      for run in other.runs {
        pages.forEachRange(from: run.firstPage, count: run.count) { first, count in
          let index = Int(run.frame)
          let frame =
            numbers[index]
            ?? frame(other.frames[index].location, in: pack(other.packs[Int(other.frames[index].pack)]))
          numbers[index] = frame
          append(Run(firstPage: first, count: count, frame: frame, slot: run.slot + (first - run.firstPage)))
        }
        pages.remove(run.firstPage, count: run.count)
      }
    }

    /// The map, neighbouring runs joined.
    public consuming func finish() -> PageMap {
      map.runs.sort { $0.firstPage < $1.firstPage }
      var runs: [Run] = []
      runs.reserveCapacity(map.runs.count)
      for run in map.runs {
        if let last = runs.last, last.frame == run.frame, last.firstPage &+ last.count == run.firstPage,
          last.slot &+ last.count == run.slot
        {
          runs[runs.count - 1].count += run.count
        } else {
          runs.append(run)
        }
      }
      map.runs = runs
      return map
    }
  }
}
