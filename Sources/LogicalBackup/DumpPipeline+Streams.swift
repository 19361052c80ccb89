internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository
internal import ServerPrograms
import Synchronization

extension DumpPipeline {
  /// Runs pg_dump, several of them where there are several streams, and pg_dumpall behind the first, until everything they
  /// wrote is durable in the stores.
  /// - Returns: What they said besides.
  func dump(_ prepared: Prepared, into writer: DumpWriter, _ cancellation: Cancellation) throws -> [String] {
    let shares = prepared.shares
    let contents = Mutex([ArchiveContents](repeating: ArchiveContents(), count: shares.others.count + 1))
    let said = Mutex<[String]>([])
    let meter = DumpMeter(observe)
    let (program, environment) = (prepared.program, prepared.connection.environment)
    let globals = prepared.globals
    let arguments =
      [common(prepared, lockWait: options.dump.lockWait) + options.dump.selection + shares.mainOptions]
      + shares.others.map { common(prepared, lockWait: options.dump.rowLockWait) + rowOptions($0) }
    let cutting = arguments.enumerated().map { number, arguments in
      { @Sendable () throws -> Void in
        let cutter = try DumpWriter.Cutter(writer)
        let stream = number == 0 ? DumpStream.custom : DumpStream.rows(number)
        var archive = ArchiveContents()
        let words = try self.store(stream, program, arguments, environment, cutter, meter, cancellation) { bytes in
          if !shares.isOne { try archive.take(bytes) }
        }
        said.withLock { $0 += words }
        contents.withLock { [archive] in $0[number] = archive }
        if number == 0, let (path, arguments) = globals {
          let words = try self.store(DumpStream.globals, path, arguments, environment, cutter, meter, cancellation) {
            _ in
          }
          said.withLock { $0 += words }
        }
        writer.finish()
      }
    }
    try runTogether(cancellation, label: "dump", cutting + writer.bodies)
    try cancellation.check()
    if !shares.isOne { try prove(contents.withLock { $0 }, prepared) }
    return said.withLock { $0 }
  }

  /// pg_dump's options but for what is dumped.
  func common(_ connection: ProgramConnection, lockWait: Duration?) -> [String] {
    var words = ["--format=custom", "--compress=0", "--no-password", "--dbname=\(connection.words)"]
    if let timeout = lockWait {
      let (seconds, attoseconds) = timeout.components
      words.append("--lock-wait-timeout=\(max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000))")
    }
    return words
  }

  private func common(_ prepared: Prepared, lockWait: Duration?) -> [String] {
    common(prepared.connection, lockWait: lockWait) + ["--snapshot=\(prepared.snapshot.name)"]
  }

  private func rowOptions(_ tables: [DumpShares.Table]) -> [String] {
    DumpShares.options(tables) + (options.dump.inserts ? ["--inserts"] : [])
  }

  /// Stores what a program writes. It counts only once the program has ended well.
  /// - Parameter look: Gets all of it.
  private func store(
    _ stream: String, _ path: String, _ arguments: [String], _ environment: [String: String],
    _ cutter: DumpWriter.Cutter, _ meter: DumpMeter, _ cancellation: Cancellation,
    look: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> [String] {
    let program = try PipedProgram(
      path, arguments, environment: environment, .output, cancellation: cancellation)
    let isDump = stream != DumpStream.globals
    let begin: (UnsafeRawBufferPointer) throws -> Void = { bytes in
      guard isDump, !bytes.prefix(5).elementsEqual("PGDMP".utf8) else { return }
      // Where it failed its own words tell more.
      try program.finish()
      throw DumpError.notDump(options.cluster, found: bytes.count)
    }
    try cutter.store(stream, begin: begin) { buffer in
      let count = try program.read(into: buffer)
      try look(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      meter.add(count)
      return count
    }
    try program.finish()
    return program.words
  }
}

/// Tells how much all streams have brought so far, each 16 MiB.
private final class DumpMeter: Sendable {
  private let observe: @Sendable (RunProgress) -> Void
  private let counted = Mutex<(done: Int64, told: Int64)>((0, 0))

  init(_ observe: @escaping @Sendable (RunProgress) -> Void) { self.observe = observe }

  func add(_ count: Int) {
    let done = counted.withLock { counted -> Int64? in
      counted.done += Int64(count)
      guard counted.done - counted.told >= 16 << 20 else { return nil }
      counted.told = counted.done
      return counted.done
    }
    if let done { observe(RunProgress(phase: "dumping", doneBytes: ByteCount(done))) }
  }
}
