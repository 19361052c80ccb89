import BackupModel
import BlockingWork
import Storage
import Synchronization
import TestSupport
import Testing

/// Thousands of operations on a store whose server misbehaves, beside a model of what must be there.
///
/// Each thread works below a prefix of its own, so that its model needs no other's. Nothing is ever judged by what comes
/// through the proxy alone: ``check(_:)`` reads from the server itself.
final class FaultCampaign: Sendable {
  /// What is known of a name.
  enum State: Sendable, Equatable {
    case there([UInt8])
    case gone
    /// An operation on it failed: it is whole or not there at all.
    case either([UInt8])
  }
  /// Whether answers may be lies: then what was read proves nothing, and only what the server holds is judged.
  enum Trust { case full, none }

  private let store: any ObjectStore
  private let trust: Trust
  private let seed: UInt64
  private let models = Mutex<[ObjectName: State]>([:])
  private let failed = Mutex<[String]>([])

  init(_ store: any ObjectStore, trust: Trust, seed: UInt64) {
    self.seed = seed
    self.store = store
    self.trust = trust
  }

  /// Operations that failed, retries and all, with their errors.
  var failures: [String] { failed.withLock { $0 } }

  func run(threads: Int, operations: Int) throws {
    let seed = seed
    try runTogether(
      Cancellation(), label: "campaign",
      (0..<threads).map { thread in
        { try self.work(below: "c/\(seed)-\(thread)", operations, SeededGenerator(seed: seed &* 31 &+ UInt64(thread))) }
      })
  }

  private func work(below prefix: String, _ operations: Int, _ numbers: SeededGenerator) throws {
    var numbers = numbers
    var model: [ObjectName: State] = [:]
    for number in 0..<operations {
      let known = model.keys.sorted()
      do {
        switch (Int.random(in: 0..<100, using: &numbers), known.randomElement(using: &numbers)) {
        case (0..<40, _), (_, nil):
          try put(ObjectName(composed: "\(prefix)/\(number)"), &model, &numbers)
        case (40..<50, let name?): try putAgain(name, &model)
        case (50..<70, let name?): try read(name, model, &numbers)
        case (70..<80, let name?): try lookFor(name, model)
        case (80..<88, _): try list(prefix, model)
        case (88..<96, let name?): try delete([name], &model)
        case (_, _): try delete(Array(known.shuffled(using: &numbers).prefix(5)), &model)
        }
      } catch let error as StorageError {
        failed.withLock { $0.append(ErrorReport(error).description) }
      }
    }
    models.withLock { $0.merge(model) { $1 } }
  }

  // MARK: Operations

  private func put(_ name: ObjectName, _ model: inout [ObjectName: State], _ numbers: inout SeededGenerator) throws {
    let size = [0, 1, 1000, 70_000, 300_000][Int.random(in: 0..<5, using: &numbers)]
    // No two objects, and no two places of one, look alike.
    let words = (0..<(size / 512 + 1)).map { _ in numbers.next() }
    let bytes = Array(words.flatMap { word in (0..<64).flatMap { [UInt8($0)] + Self.bytes(word) } }.prefix(size))
    model[name] = .either(bytes)
    do {
      try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      model[name] = .there(bytes)
    } catch StorageError.alreadyExists where trust == .none {
      // The second of two requests of which we sent one.
    }
  }

  private static func bytes(_ word: UInt64) -> [UInt8] { (1..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }

  private func putAgain(_ name: ObjectName, _ model: inout [ObjectName: State]) throws {
    guard case .there = model[name] else { return }
    do {
      try [UInt8(1)].withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      Issue.record("\(name) was put twice")
    } catch StorageError.alreadyExists {}
  }

  private func read(_ name: ObjectName, _ model: [ObjectName: State], _ numbers: inout SeededGenerator) throws {
    do {
      let all = try store.readAll(name)
      guard trust == .full else { return }
      switch model[name] {
      case .there(let bytes)?, .either(let bytes)?: #expect(all == bytes, "\(name)")
      case .gone?, nil: Issue.record("\(name) was read, which is not there")
      }
      let start = Int.random(in: 0...all.count, using: &numbers)
      var part = [UInt8](repeating: 0, count: Int.random(in: 0...(all.count - start), using: &numbers))
      try part.withUnsafeMutableBytes { try store.read(name, at: Int64(start), into: $0) }
      #expect(part.elementsEqual(all[start..<(start + part.count)]), "\(name)")
    } catch let error as StorageError where error.isMissing {
      if trust == .full, case .there? = model[name] { Issue.record("\(name) is missing") }
    }
  }

  private func lookFor(_ name: ObjectName, _ model: [ObjectName: State]) throws {
    let size = try store.size(of: name)
    guard trust == .full else { return }
    switch model[name] {
    case .there(let bytes)?: #expect(size == Int64(bytes.count), "\(name)")
    case .either(let bytes)?: #expect(size == nil || size == Int64(bytes.count), "\(name)")
    case .gone?, nil: #expect(size == nil, "\(name)")
    }
  }

  private func list(_ prefix: String, _ model: [ObjectName: State]) throws {
    let listing = try store.list(below: prefix)
    if trust == .full { Self.compare(listing, model) }
  }

  private func delete(_ names: [ObjectName], _ model: inout [ObjectName: State]) throws {
    for name in names { if case .there(let bytes)? = model[name] { model[name] = .either(bytes) } }
    try names.count == 1 ? store.delete(names[0]) : store.delete(names)
    for name in names { model[name] = .gone }
  }

  // MARK: Judging

  private static func compare(_ listing: Listing, _ model: [ObjectName: State]) {
    let sizes = Dictionary(uniqueKeysWithValues: listing.objects.map { ($0.name, $0.size) })
    for (name, size) in sizes where model[name] == nil || model[name] == .gone {
      Issue.record("\(name) of \(size) bytes is listed, which is not there")
    }
    for (name, state) in model {
      switch state {
      case .there(let bytes): #expect(sizes[name] == Int64(bytes.count), "\(name)")
      case .either(let bytes): #expect(sizes[name] == nil || sizes[name] == Int64(bytes.count), "\(name)")
      case .gone: break
      }
    }
  }

  /// What the server really holds: all that was stored, whole, and nothing else.
  /// - Parameter direct: The same store, without the proxy.
  func check(_ direct: any ObjectStore) throws {
    let model = models.withLock { $0 }
    var listing = Listing()
    for prefix in try direct.list(below: "c").prefixes where prefix.hasPrefix("\(seed)-") {
      listing.objects += try direct.list(below: "c/" + prefix).objects
    }
    Self.compare(listing, model)
    for object in listing.objects {
      switch model[object.name] {
      case .there(let bytes)?, .either(let bytes)?:
        #expect(try direct.readAll(object.name) == bytes, "\(object.name) is not whole")
      case .gone?, nil: break
      }
    }
    // What comes next finds the store as it should be.
    let name = ObjectName(composed: "after/\(RandomID.random())")
    try [UInt8(1)].withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
    #expect(try store.readAll(name) == [1])
  }
}
