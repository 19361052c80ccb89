internal import BackupModel
internal import BlockingWork
internal import Checksums
internal import DurableFiles
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Reads every relation file of a data directory whose server is down and verifies the checksum of each page.
final class PageSweep: Sendable {
  private struct Task {
    var path: String
    var offset: Int64
    var firstBlock: UInt32
  }
  private struct State {
    var next = 0
    var pages = 0
    var damaged = 0
    var named: [String] = []
  }
  private static let pageSize = 8192
  private static let bytesPerRead = 1 << 20
  /// A large file is shared by the threads.
  private static let bytesPerTask: Int64 = 64 << 20
  private static let mostNamed = 5

  private let root: String
  private let tasks: [Task]
  private let state = Mutex(State())

  init(_ dataDirectory: String) throws {
    root = dataDirectory
    var tasks: [Task] = []
    for top in ["base", "global", "pg_tblspc"] { try Self.walk(dataDirectory, top, &tasks) }
    self.tasks = tasks
  }

  /// - Parameter observe: Called from several threads with the number of pages so far.
  /// - Throws: `FileError`, `CancellationError`.
  func run(workers: Int, _ cancellation: Cancellation, observe: @escaping @Sendable (Int) -> Void) throws -> CheckResult
  {
    let work: @Sendable () throws -> Void = {
      while let task = self.next() {
        try self.read(task, cancellation)
        observe(self.state.withLock { $0.pages })
      }
    }
    try runTogether(
      cancellation, label: "sweep", share: .leftOver, Array(repeating: work, count: max(1, workers)))
    return state.withLock { state in
      let message = "\(state.damaged) pages do not fit theirs, such as \(state.named.joined(separator: ", "))."
      return CheckResult(
        name: "page checksums", value: "\(state.pages)", verdict: state.damaged > 0 ? .critical : .ok,
        message: state.damaged > 0 ? message : nil)
    }
  }

  private static func walk(_ root: String, _ path: String, _ tasks: inout [Task]) throws {
    for name in try DurableFile.names(in: root + "/" + path) {
      let inner = path + "/" + name
      var status = stat()
      // Followed: tablespaces are links.
      guard stat(root + "/" + inner, &status) == 0 else { throw FileError.last("look at", root + "/" + inner) }
      if status.st_mode & S_IFMT == S_IFDIR {
        // Sort and hash files of sessions that are gone.
        if name != "pgsql_tmp" { try walk(root, inner, &tasks) }
      } else if let first = RelationFile.firstBlock(inner) {
        for offset in stride(from: 0, to: Int64(status.st_size), by: Int(bytesPerTask)) {
          tasks.append(Task(path: inner, offset: offset, firstBlock: first + UInt32(offset / Int64(pageSize))))
        }
      }
    }
  }

  private func next() -> Task? {
    state.withLock { state in
      guard state.next < tasks.count else { return nil }
      defer { state.next += 1 }
      return tasks[state.next]
    }
  }

  private func read(_ task: Task, _ cancellation: Cancellation) throws {
    let file = try Descriptor(opening: root + "/" + task.path, O_RDONLY)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bytesPerRead, alignment: 4096)
    defer { buffer.deallocate() }
    var done: Int64 = 0
    while done < Self.bytesPerTask {
      try cancellation.check()
      let count = try file.readAll(into: buffer, at: task.offset + done)
      let block = task.firstBlock + UInt32(done / Int64(Self.pageSize))
      for index in 0..<(count / Self.pageSize) {
        let page = UnsafeRawBufferPointer(rebasing: buffer[(index * Self.pageSize)..<((index + 1) * Self.pageSize)])
        // Nothing is being written any more: a page from after the backup has to fit as well.
        let verdict = PageChecksum.verify(page, block: block + UInt32(index), start: .max)
        if verdict == .differs { note("block \(block + UInt32(index)) of \"\(task.path)\"") }
      }
      state.withLock { $0.pages += count / Self.pageSize }
      done += Int64(count)
      if count < buffer.count { return }
    }
  }

  private func note(_ page: String) {
    state.withLock { state in
      state.damaged += 1
      if state.named.count < Self.mostNamed { state.named.append(page) }
    }
  }
}
