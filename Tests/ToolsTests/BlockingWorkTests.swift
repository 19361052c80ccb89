import BlockingWork
import Foundation
import Synchronization
import Testing

private struct Broken: Error, Equatable { var number: Int }

@Suite("Blocking work") struct BlockingWorkTests {
  @Test("a ring hands everything over in order, and ends after it was closed")
  func ringOrder() throws {
    let ring = BoundedRing<Int>(capacity: 3)
    let taken = Mutex<[Int]>([])
    try runTogether(
      Cancellation(), label: "test",
      [
        {
          for number in 0..<10_000 { try ring.push(number) }
          ring.close()
        },
        { while let number = try ring.pop() { taken.withLock { $0.append(number) } } },
      ])
    #expect(taken.withLock { $0 } == Array(0..<10_000))
    #expect(try ring.pop() == nil)
  }

  @Test("a ring that is aborted lets go of everyone who waits")
  func ringAbort() throws {
    let full = BoundedRing<Int>(capacity: 1)
    let empty = BoundedRing<Int>(capacity: 1)
    try full.push(1)
    let cancellation = Cancellation()
    cancellation.addHandler {
      full.abort()
      empty.abort()
    }
    #expect(throws: Broken(number: 3)) {
      try runTogether(
        cancellation, label: "test",
        [{ try full.push(2) }, { _ = try empty.pop() }, { throw Broken(number: 3) }])
    }
    #expect(throws: CancellationError.self) { try full.pop() }
    #expect(throws: CancellationError.self) { try empty.push(1) }
  }

  @Test("what a ring handed out it does not keep alive")
  func ringReleases() throws {
    final class Item: Sendable {}
    let ring = BoundedRing<Item>(capacity: 4)
    weak var first: Item?
    do {
      let item = Item()
      first = item
      try ring.push(item)
      try ring.push(Item())
    }
    _ = try ring.pop()
    #expect(first == nil)
  }

  @Test("several pieces of work end with the error that ended them, not with the cancellations it caused")
  func firstFailure() throws {
    let cancellation = Cancellation()
    let waiting: @Sendable () throws -> Void = { try cancellation.sleep(.seconds(60)) }
    #expect(throws: Broken(number: 1)) {
      try runTogether(cancellation, label: "test", [waiting, waiting, { throw Broken(number: 1) }, waiting])
    }
    #expect(cancellation.isCancelled)
  }

  @Test("cancelling a task ends the code that blocks on its lane")
  func laneCancellation() async throws {
    let lane = Lane(label: "test")
    let (began, input) = AsyncStream.makeStream(of: Void.self)
    await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        do {
          try await lane.run { cancellation in
            input.finish()
            try cancellation.sleep(.seconds(60))
          }
          return false
        } catch {
          return error is CancellationError
        }
      }
      for await _ in began {}
      group.cancelAll()
      #expect(await group.next() == true)
    }
    #expect(try await lane.run { _ in 7 } == 7)
  }

  @Test("handlers of a cancellation run once, also those added later, and none that was removed")
  func handlers() {
    let cancellation = Cancellation()
    let calls = Mutex<[Int]>([])
    let removed = cancellation.addHandler { calls.withLock { $0.append(1) } }
    cancellation.addHandler { calls.withLock { $0.append(2) } }
    cancellation.removeHandler(removed)
    cancellation.cancel()
    cancellation.cancel()
    cancellation.addHandler { calls.withLock { $0.append(3) } }
    #expect(calls.withLock { $0 } == [2, 3])
    #expect(throws: CancellationError.self) { try cancellation.check() }
  }
}
