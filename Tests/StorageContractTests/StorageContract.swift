import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import Testing

/// What every store promises, whatever it is made of. A backend's suite makes an empty store and calls each of these.
struct StorageContract {
  static let checks: [(String, @Sendable (StorageContract) throws -> Void)] = [
    ("reads what was put", { try $0.roundTrip() }), ("reads ranges", { try $0.ranges() }),
    ("reads ends", { try $0.ends() }),
    ("never overwrites", { try $0.neverOverwrites() }), ("has one winner of a race", { try $0.oneWinner() }),
    ("lists", { try $0.listing() }), ("says what is missing", { try $0.missing() }),
    ("deletes", { try $0.deletion() }), ("deletes many", { try $0.manyDeletions() }),
    ("puts nothing once cancelled", { try $0.cancelled() }),
  ]

  /// Empty at the beginning of each check.
  let store: any ObjectStore

  private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

  private func put(_ text: String, _ bytes: [UInt8]) throws {
    let name = try name(text)
    try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
  }

  private func noise(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
  }

  func roundTrip() throws {
    for count in [0, 1, 8192, 3 << 20] {
      let bytes = noise(count)
      try put("a/b/\(count)", bytes)
      #expect(try store.size(of: name("a/b/\(count)")) == Int64(count))
      #expect(try store.readAll(name("a/b/\(count)")) == bytes)
    }
    #expect(throws: StorageError.self) { try store.readAll(name("a/b/8192"), limit: 8191) }
  }

  func ranges() throws {
    let bytes = noise(10_000)
    try put("object", bytes)
    for (offset, count) in [(0, 0), (0, 1), (0, 10_000), (9999, 1), (5000, 4000), (10_000, 0)] {
      var part = [UInt8](repeating: 0, count: count)
      try part.withUnsafeMutableBytes { try store.read(name("object"), at: Int64(offset), into: $0) }
      #expect(part == Array(bytes[offset..<(offset + count)]))
    }
    for (offset, count) in [(0, 10_001), (9999, 2), (20_000, 1)] {
      var part = [UInt8](repeating: 0, count: count)
      #expect("\(offset)+\(count)") {
        try part.withUnsafeMutableBytes { try store.read(name("object"), at: Int64(offset), into: $0) }
      } throws: {
        if case StorageError.truncated = $0 { true } else { false }
      }
    }
  }

  func ends() throws {
    for count in [0, 1, 999, 1000, 1001, 100_000] {
      let bytes = noise(count)
      try put("end/\(count)", bytes)
      var end = [UInt8](repeating: 0, count: 1000)
      #expect(try end.withUnsafeMutableBytes { try store.readEnd(name("end/\(count)"), into: $0) } == Int64(count))
      #expect(Array(end.prefix(min(count, 1000))) == Array(bytes.suffix(1000)), "\(count)")
    }
    var end = [UInt8](repeating: 0, count: 1000)
    #expect(try end.withUnsafeMutableBytes { try store.readEnd(name("not/there"), into: $0) } == nil)
  }

  func neverOverwrites() throws {
    try put("a/object", [1, 2, 3])
    for bytes in [[1, 2, 3], [4], []] as [[UInt8]] {
      #expect { try put("a/object", bytes) } throws: {
        if case StorageError.alreadyExists = $0 { true } else { false }
      }
    }
    #expect(try store.readAll(name("a/object")) == [1, 2, 3])
  }

  /// Of writers that race for a name exactly one wins, and what is there is its object, whole.
  func oneWinner() throws {
    for round in 0..<20 {
      let winners = Mutex<[UInt8]>([])
      let ready = Mutex(0)
      try runTogether(
        Cancellation(), label: "race",
        (1...4).map { (number: UInt8) in
          {
            let bytes = [UInt8](repeating: number, count: 100_000)
            ready.withLock { $0 += 1 }
            while ready.withLock({ $0 < 4 }) {}
            do {
              try put("race/\(round)", bytes)
              winners.withLock { $0.append(number) }
            } catch StorageError.alreadyExists {}
          }
        })
      let winner = winners.withLock { $0 }
      #expect(winner.count == 1)
      #expect(try store.readAll(name("race/\(round)")) == [UInt8](repeating: winner[0], count: 100_000))
    }
  }

  func listing() throws {
    #expect(try store.list(below: "").prefixes == [])
    for text in ["b/2", "b/10", "b/c/x", "b/c/y", "a", "bb/z"] { try put(text, Array(text.utf8)) }
    let root = try store.list(below: "")
    #expect(root.objects.map(\.name.text) == ["a"])
    #expect(root.prefixes == ["b", "bb"])
    let below = try store.list(below: "b")
    #expect(below.objects.map(\.name) == [try name("b/10"), try name("b/2")] && below.objects.map(\.size) == [4, 3])
    let now = Timestamp.now()
    #expect(below.objects.allSatisfy { abs(($0.modified ?? now).seconds - now.seconds) < 600 })
    #expect(below.prefixes == ["c"])
    #expect(try store.list(below: "b/c").objects.map(\.name.lastComponent) == ["x", "y"])
    let none = try store.list(below: "nothing/here")
    #expect(none.objects.isEmpty && none.prefixes.isEmpty)
  }

  func missing() throws {
    try put("there", [1])
    #expect(try store.size(of: name("not/there")) == nil)
    #expect(try store.size(of: name("there/below")) == nil)
    var byte: [UInt8] = [0]
    #expect {
      try byte.withUnsafeMutableBytes { try store.read(name("not/there"), at: 0, into: $0) }
    } throws: {
      ($0 as? StorageError)?.isMissing == true
    }
    #expect { try store.readAll(name("not/there")) } throws: { ($0 as? StorageError)?.isMissing == true }
  }

  func deletion() throws {
    try put("a/b", [1])
    try store.delete(name("a/b"))
    #expect(try store.size(of: name("a/b")) == nil)
    #expect(try store.list(below: "a").objects.isEmpty)
    try store.delete(name("a/b"))
    try store.delete(name("never/there"))
    try put("a/b", [2])
    #expect(try store.readAll(name("a/b")) == [2])
  }

  func manyDeletions() throws {
    let names = try (0..<30).map { try name("many/\($0)") }
    for name in names.prefix(25) { try put(name.text, [1]) }
    try put("many/other", [1])
    // Some of them are not there.
    try store.delete(names)
    #expect(try store.list(below: "many").objects.map(\.name) == [name("many/other")])
    try store.delete([])
  }

  func cancelled() throws {
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: CancellationError.self) {
      try [UInt8](repeating: 1, count: 10).withUnsafeBytes {
        try store.put(name("cancelled"), $0, cancellation: cancellation)
      }
    }
    #expect(try store.size(of: name("cancelled")) == nil)
  }
}
