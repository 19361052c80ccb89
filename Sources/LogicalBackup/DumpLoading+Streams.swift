internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Postgres
internal import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A dump of several streams: definitions that rows need, the rows of all streams, definitions that need rows.
extension DumpLoading {
  func loadStreams(
    _ program: String, _ arguments: [String], _ connection: ProgramConnection, _ options: Options, _ meter: LoadMeter
  ) throws -> [String] {
    let said = Mutex<[String]>([])
    let environment = connection.environment
    if options.isClean, options.tables.isEmpty { try dropForeignKeys(connection) }
    let alone = arguments + ["--single-transaction"]
    let before = try feed(
      reader, DumpStream.custom, program, alone + ["--section=pre-data"], environment, nil)
    said.withLock { $0 += before }
    // Large objects of 17 and later are made with their content, and so dropped with it.
    let rows = alone + ["--section=data"]
    let (repository, lineage, id) = (backup.repository, backup.lineage, backup.header.id)
    let frames = max(32, DumpReader.openFrames / min(options.jobs, streams.count))
    let loading = self.streams
    try forEachTogether(loading, lanes: options.jobs, cancellation, label: "load") { stream, cancellation in
      let one = try DumpLoading(BackupReader(repository, lineage, id), cancellation: cancellation)
      let reader = try DumpReader(one.backup, openFrames: frames)
      let words = try one.feed(reader, stream, program, rows, environment, meter)
      said.withLock { $0 += words }
    }
    let behind = try loadBehind(program, arguments, environment, options)
    return said.withLock { $0 + behind }
  }

  /// Indexes, constraints and triggers, over several connections where that is wanted: pg_restore then reads a file, of which
  /// the table of contents is all it needs.
  private func loadBehind(
    _ program: String, _ arguments: [String], _ environment: [String: String], _ options: Options
  ) throws -> [String] {
    let words = arguments + ["--section=post-data"]
    guard options.jobs > 1 else {
      return try feed(reader, DumpStream.custom, program, words + ["--single-transaction"], environment, nil)
    }
    let path = options.spoolDirectory + "/backupctl-\(reader.header.id)-\(getpid())"
    let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL)
    defer { unlink(path) }
    _ = try head { try file.writeAll($0) }
    return try runAlone(program, words + ["--jobs=\(options.jobs)", path], environment)
  }

  /// The main stream up to the end of its table of contents.
  private func head(_ body: (UnsafeRawBufferPointer) throws -> Void = { _ in }) throws -> ArchiveContents {
    struct Enough: Error {}
    var contents = ArchiveContents()
    do {
      try reader.read(DumpStream.custom, cancellation: cancellation) { bytes in
        try contents.take(bytes)
        try body(bytes)
        if contents.isComplete { throw Enough() }
      }
    } catch is Enough {
      // Rows follow.
    }
    guard contents.isComplete else { throw ArchiveContents.Malformed(what: "it ends within it") }
    return contents
  }

  /// pg_restore drops a section at a time, and no table that the foreign key of another still refers to.
  private func dropForeignKeys(_ connection: ProgramConnection) throws {
    let drops = try head().foreignKeyDrops.compactMap(Self.tolerant)
    guard !drops.isEmpty else { return }
    let session = try Connection(
      connection.complete.revealText(), applicationName: "backupctl restore-dump", cancellation: cancellation)
    defer { session.close() }
    _ = try session.query("SET client_min_messages = error", while: "drop foreign keys on")
    _ = try session.query(drops.joined(separator: "\n"), while: "drop foreign keys on")
  }

  /// `ALTER TABLE ONLY public.tokens DROP CONSTRAINT tokens_user_id_fkey;`, where neither need be there: as pg_restore makes it.
  static func tolerant(_ command: String) -> String? {
    guard command.hasPrefix("ALTER TABLE "), let place = command.firstRange(of: " DROP CONSTRAINT ") else { return nil }
    return "ALTER TABLE IF EXISTS " + command.dropFirst(12)[..<place.lowerBound] + " DROP CONSTRAINT IF EXISTS "
      + command[place.upperBound...]
  }
}

/// Tells how much all streams have given so far, each 4 MiB.
final class LoadMeter: Sendable {
  private let observe: @Sendable (RunProgress) -> Void
  private let total: ByteCount
  private let counted = Mutex<(done: Int64, told: Int64)>((0, 0))

  init(_ observe: @escaping @Sendable (RunProgress) -> Void, total: ByteCount) {
    self.observe = observe
    self.total = total
  }

  func add(_ count: Int, _ phase: String) {
    let done = counted.withLock { counted -> Int64? in
      counted.done += Int64(count)
      guard counted.done - counted.told >= 4 << 20 else { return nil }
      counted.told = counted.done
      return counted.done
    }
    if let done { observe(RunProgress(phase: phase, doneBytes: ByteCount(done), totalBytes: total)) }
  }
}
