import BackupModel
import Foundation
import Synchronization
import Testing

@testable import Repository

/// By page, the beginning of what was written there.
private final class WrittenPages: Sendable {
  let pages = Mutex<[UInt32: UInt32]>([:])
}

@Suite("Pages to restore") struct PackBatchTests {
  /// A map of a file whose pages were changed here and there by several backups, each with frames of its own.
  static func map(pages: Int, backups: Int, share: Double, reach: Int, seed: UInt64) -> PageMap {
    var state = seed
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var owner = [Int](repeating: 0, count: pages)
    for backup in 1...backups {
      for _ in 0..<Int(Double(pages) * share) { owner[random(pages)] = backup }
    }
    var map = PageMap()
    map.packs = (0...backups).map { _ in PackID.random() }
    /// For each backup: the frame that is being filled, and its next slot.
    var open: [Int: (frame: UInt32, slot: UInt32, page: Int)] = [:]
    for page in 0..<pages {
      let pack = owner[page]
      var place = open[pack] ?? (0, 32, page)
      if place.slot == 32 || page - place.page > reach {
        place = (UInt32(map.frames.count), 0, page)
        let location = FrameLocation(
          number: place.frame, offset: 64 + place.frame * 1000, sealedLength: 900, plainLength: 32 * 8192)
        map.frames.append(.init(pack: UInt32(pack), location: location))
      }
      if let last = map.runs.last, last.frame == place.frame, last.slot + last.count == place.slot {
        map.runs[map.runs.count - 1].count += 1
      } else {
        map.runs.append(.init(firstPage: UInt32(page), count: 1, frame: place.frame, slot: place.slot))
      }
      open[pack] = (place.frame, place.slot + 1, place.page)
    }
    return map
  }

  static func tasks(of map: PageMap, pages: Int) throws -> [PackTask] {
    var entry = ManifestFile(path: "base/5/1", kind: .file, mode: 0o600, modified: 0)
    entry.size = UInt64(pages * 8192)
    let file = FileAssembly(path: "/nowhere", entry: entry)
    var tasks: [PackTask] = []
    var batch = PackBatch()
    batch.add(file, joining: map) { tasks.append($0) }
    batch.drain { tasks.append($0) }
    return tasks
  }

  @Test(
    "are each handed out once, from where the map says, whether they are joined or not",
    arguments: [
      (100, 1, 0.0, 1000), (40_000, 1, 0.0, 1000), (40_000, 30, 0.03, 1000), (40_000, 30, 0.03, 100_000),
      (9_000, 200, 0.01, 500), (8_192, 3, 0.9, 200),
    ])
  func once(pages: Int, backups: Int, share: Double, reach: Int) throws {
    let map = Self.map(pages: pages, backups: backups, share: share, reach: reach, seed: 7)
    try #require(map.covers(pages: UInt64(pages)))
    var expected: [UInt32: (PackID, UInt32, UInt32)] = [:]
    for run in map.runs {
      for index in 0..<run.count {
        let frame = map.frames[Int(run.frame)]
        expected[run.firstPage + index] = (map.packs[Int(frame.pack)], frame.location.number, run.slot + index)
      }
    }
    for task in try Self.tasks(of: map, pages: pages) {
      #expect(zip(task.frames, task.frames.dropFirst()).allSatisfy { $0.offset < $1.offset })
      for (frame, parts) in zip(task.frames, task.parts) {
        for part in parts {
          for index in 0..<part.count {
            let wanted = expected.removeValue(forKey: part.firstPage + index)
            #expect(wanted?.0 == task.pack && wanted?.1 == frame.number && wanted?.2 == part.slot + index)
          }
        }
      }
    }
    #expect(expected.isEmpty)
  }

  @Test("that are joined are written when the last of them is there, all of them and once, by whoever brings it")
  func stretches() async throws {
    let pages = 40_000
    let map = Self.map(pages: pages, backups: 30, share: 0.03, reach: 1000, seed: 11)
    let tasks = try Self.tasks(of: map, pages: pages)
    let joined = tasks.flatMap(\.parts).flatMap { $0 }.filter { $0.stretch != nil }
    // Otherwise this tests nothing.
    try #require(joined.count > 10_000)
    let rooms = StretchRooms()
    let content = (0..<pages).map { UInt32($0) &* 2_654_435_761 }
    let written = WrittenPages()
    @Sendable func bring(_ part: PackTask.Part) {
      var bytes = [UInt8](repeating: 0, count: Int(part.count) * 8192)
      for index in 0..<Int(part.count) {
        withUnsafeBytes(of: content[Int(part.firstPage) + index]) {
          bytes.replaceSubrange(index * 8192..<index * 8192 + 4, with: $0)
        }
      }
      let room = bytes.withUnsafeBytes {
        part.stretch?.add($0, firstPage: part.firstPage, count: part.count, in: rooms)
      }
      guard let room, let stretch = part.stretch else { return }
      written.pages.withLock { written in
        for index in 0..<stretch.count {
          let value = room.bytes.load(fromByteOffset: Int(index) * 8192, as: UInt32.self)
          #expect(written.updateValue(value, forKey: stretch.firstPage + index) == nil)
        }
      }
      rooms.giveBack(room)
    }
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          for index in stride(from: worker, to: joined.count, by: 4) { bring(joined[index]) }
        }
      }
    }
    let all = written.pages.withLock { $0 }
    let expected = Set(joined.flatMap { $0.firstPage..<($0.firstPage + $0.count) })
    #expect(Set(all.keys) == expected)
    #expect(all.allSatisfy { content[Int($0.key)] == $0.value })
  }
}
