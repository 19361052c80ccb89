internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository
internal import ServerPrograms
import Synchronization

extension DumpPipeline {
  /// Runs pg_dump, and pg_dumpall beside it, until everything they wrote is durable in the stores.
  /// - Returns: What they said besides.
  func dump(_ prepared: Prepared, into writer: DumpWriter, _ cancellation: Cancellation) throws -> [String] {
    let said = Mutex<[String]>([])
    let dump = arguments(prepared)
    let globals = prepared.globals
    let (program, environment) = (prepared.program, prepared.connection.environment)
    let cutting: @Sendable () throws -> Void = {
      let cutter = try DumpWriter.Cutter(writer)
      let words = try self.store(DumpStream.custom, program, dump, environment, cutter, writer, cancellation)
      said.withLock { $0 += words }
      if let (path, arguments) = globals {
        let words = try self.store(DumpStream.globals, path, arguments, environment, cutter, writer, cancellation)
        said.withLock { $0 += words }
      }
      writer.finish()
    }
    try runTogether(cancellation, label: "dump", [cutting] + writer.bodies)
    try cancellation.check()
    return said.withLock { $0 }
  }

  private func arguments(_ prepared: Prepared) -> [String] {
    var words = [
      "--format=custom", "--compress=0", "--no-password", "--snapshot=\(prepared.snapshot.name)",
      "--dbname=\(prepared.connection.words)",
    ]
    if let timeout = options.dump.lockTimeout {
      let (seconds, attoseconds) = timeout.components
      words.append("--lock-wait-timeout=\(max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000))")
    }
    return words + options.dump.selection
  }

  /// Stores what a program writes. It counts only once the program has ended well.
  private func store(
    _ stream: String, _ path: String, _ arguments: [String], _ environment: [String: String],
    _ cutter: DumpWriter.Cutter, _ writer: DumpWriter, _ cancellation: Cancellation
  ) throws -> [String] {
    let program = try PipedProgram(
      path, arguments, environment: environment, .output, cancellation: cancellation)
    let isDump = stream == DumpStream.custom
    var done: Int64 = 0
    var told: Int64 = 0
    let begin: (UnsafeRawBufferPointer) throws -> Void = { bytes in
      guard isDump, !bytes.prefix(5).elementsEqual("PGDMP".utf8) else { return }
      // Where it failed its own words tell more.
      try program.finish()
      throw DumpError.notDump(options.cluster, found: bytes.count)
    }
    try cutter.store(stream, begin: begin) { buffer in
      let count = try program.read(into: buffer)
      done += Int64(count)
      if done - told >= 16 << 20 {
        told = done
        observe(RunProgress(phase: "dumping", doneBytes: ByteCount(done)))
      }
      return count
    }
    try program.finish()
    return program.words
  }
}
