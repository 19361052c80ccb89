internal import BlockingWork
internal import Repository
import Synchronization

/// The threads of one backup: the reader, N workers, one sender a store; between them bounded rings.
struct BackupCrew {
  let writer: BackupWriter
  let workers: Int
  let share: HostShare
  let cancellation: Cancellation

  /// Runs until everything the reader brought is durable in the stores.
  /// - Parameter read: The reader's work; it ends by finishing the filler it is given.
  func run<Value: Sendable>(
    _ inspector: PageInspector?, _ read: @escaping @Sendable (consuming FrameFiller) throws -> Value
  ) throws -> Value {
    // Each worker holds one, the reader one, and the ring between them is never empty for long.
    let frames = workers * 4 + 2
    let free = BoundedRing<PageFrame>(capacity: frames)
    let filled = BoundedRing<PageFrame>(capacity: frames)
    for _ in 0..<frames { try free.push(PageFrame()) }
    let handler = cancellation.addHandler {
      free.abort()
      filled.abort()
    }
    defer { cancellation.removeHandler(handler) }

    let result = Mutex<Value?>(nil)
    let writer = self.writer
    let cancellation = self.cancellation
    let running = Mutex(workers)
    var bodies: [@Sendable () throws -> Void] = [
      {
        let filler = try FrameFiller(writer, free: free, filled: filled)
        let value = try read(filler)
        result.withLock { $0 = value }
      }
    ]
    for _ in 0..<workers {
      bodies.append {
        let worker = try BackupWriter.Worker(writer)
        while let frame = try filled.pop() {
          try cancellation.check()
          try worker.process(frame, check: inspector)
          try free.push(frame)
        }
        try worker.finish()
        // The last worker to leave seals the packs that are open.
        let isLast = running.withLock {
          $0 -= 1
          return $0 == 0
        }
        if isLast { try writer.finishPages() }
      }
    }
    bodies += writer.senders
    try runTogether(cancellation, label: "backup", share: share, bodies)
    try cancellation.check()
    guard let value = result.withLock({ $0 }) else { throw CancellationError() }
    return value
  }
}
