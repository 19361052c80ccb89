/// Consecutive runs of a page map that are restored together.
struct PageWindow {
  /// Indexes into the map's runs.
  var runs: Range<Int>
  /// Whether scattered pages are joined: their content waits in memory until their neighbours are there.
  var joins: Bool

  /// Pages of a window: 64 MiB.
  static let pages = 8192
  /// Runs of so many pages are written alone.
  static let longRun = 8

  /// Cuts a map into windows of about the same size.
  ///
  /// They join where most of a file is scattered, and few frames reach beyond: such a frame is opened again for the next
  /// window. Changes of 1.5 % or more between two backups leave frames that do not reach far.
  static func windows(of map: PageMap) -> [PageWindow] {
    let all = map.runs.reduce(0) { $0 + Int($1.count) }
    guard all >= pages, !map.hasLongRuns else {
      return [PageWindow(runs: map.runs.indices, joins: false)]
    }
    let size = all / ((all + pages - 1) / pages) + 1
    var last = [Int](repeating: 0, count: map.frames.count)
    for (index, run) in map.runs.enumerated() { last[Int(run.frame)] = index }
    var windows: [PageWindow] = []
    var start = 0
    while start < map.runs.count {
      var end = start
      var count = 0
      while end < map.runs.count, count < size {
        count += Int(map.runs[end].count)
        end += 1
      }
      let frames = Set(map.runs[start..<end].map(\.frame))
      let reaching = frames.count { last[Int($0)] >= end }
      windows.append(PageWindow(runs: start..<end, joins: reaching * 4 <= frames.count))
      start = end
    }
    return windows
  }

  /// What is written at once: a long run, or short ones up to the pages of a frame.
  func groups(of map: PageMap) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    var start = runs.lowerBound
    var count = 0
    for index in runs {
      let length = Int(map.runs[index].count)
      let isLong = length >= Self.longRun
      if index > start, isLong || count + length > SealedFormat.slotsPerFrame {
        groups.append(start..<index)
        start = index
        count = 0
      }
      count = isLong ? SealedFormat.slotsPerFrame : count + length
    }
    if start < runs.upperBound { groups.append(start..<runs.upperBound) }
    return groups
  }
}

extension PageMap {
  /// Whether most pages lie in runs that are written alone.
  public var hasLongRuns: Bool {
    runs.count * PageWindow.longRun <= runs.reduce(0) { $0 + Int($1.count) }
  }

  /// Whether all of its scattered pages are joined before they are written.
  public var isJoinedThroughout: Bool { PageWindow.windows(of: self).allSatisfy(\.joins) }
}
