import ArgumentParser
import BackupModel
import BlockingWork
import DurableFiles
import LogicalBackup
import Repository

#if canImport(Glibc)
  import Glibc
#endif

struct DumpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump", abstract: "Write a logical backup as a file for pg_restore.",
    discussion: """
      The file is in pg_dump's custom format; with --globals it is SQL for psql. A dump of several streams ("parallel" \
      of its job) becomes a directory of such files, and the answer says how to load them. Reads the repository itself; \
      the daemon need not run.
      """,
    example: "backupctl dump 20261102T020000Z-kqwzxmbt --output users.dump")

  @Argument(
    help: "The backup, as \"backupctl backups --kind logical\" shows it.", completion: NameCompletion.backups,
    transform: parsing { try BackupID($0) })
  var backup: BackupID
  @Option(help: ArgumentHelp("Where to; - is standard output.", valueName: "file"), completion: .file())
  var output: String
  @Flag(help: "The cluster's roles and tablespaces instead, where the whole database was dumped.")
  var globals = false
  @Flag(help: "Replace a file that is there, or a directory that such a dump was written to.")
  var force = false
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if output == "-", shared.json { throw ValidationError("--json needs standard output: name a file with --output.") }
  }

  func run() throws {
    let repository = try shared.openForReading(shared.loadConfiguration(), asOf: past.moment())
    let cancellation = Interruption.cancellation()
    let reader = try DumpReader(try BackupCatalog(repository).open(backup))
    let archives = try DumpStream.archives(of: reader)
    if !globals, archives.count > 1 { return try writeStreams(archives, reader, cancellation) }
    let stream = globals ? DumpStream.globals : DumpStream.custom
    guard try !reader.parts(of: stream).isEmpty else { throw GlobalsMissing(backup: backup) }
    let bytes =
      output == "-"
      ? try copy(reader, stream, to: STDOUT_FILENO, "standard output", cancellation)
      : try write(reader, stream, to: FilePath.absolute(output), cancellation)
    if output == "-" { return }
    shared.show(.fields(["backup": backup, "output": output, "bytes": ByteCount(bytes)])) {
      "wrote \(ByteCount(bytes)) to \"\(output)\""
    }
  }

  private func writeStreams(_ streams: [String], _ reader: DumpReader, _ cancellation: Cancellation) throws {
    if output == "-" { throw StreamsForOneOutput(backup: backup, count: streams.count) }
    let directory = DumpDirectory(path: FilePath.absolute(output), isReplaced: force)
    let bytes = try directory.write(streams) { stream, file, path in
      try copy(reader, stream, to: file, path, cancellation)
    }
    let main = "\(output)/\(DumpDirectory.main)"
    shared.show(.fields(["backup": backup, "output": output, "bytes": ByteCount(bytes)])) {
      """
      wrote \(ByteCount(bytes)) to \(streams.count) files in "\(output)"
      load them into a database with
        pg_restore --dbname=DATABASE --section=pre-data "\(main)"
        for file in "\(output)"/*.dump; do pg_restore --dbname=DATABASE --section=data "$file"; done
        pg_restore --dbname=DATABASE --section=post-data "\(main)"
      """
    }
  }

  /// Under another name until it is whole and durable.
  private func write(
    _ reader: DumpReader, _ stream: String, to path: String, _ cancellation: Cancellation
  ) throws -> Int64 {
    if !force, DurableFile.exists(path) { throw FileExists(path: path) }
    let temporary = path + ".tmp-\(getpid())"
    defer { unlink(temporary) }
    let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
    let bytes = try copy(reader, stream, to: file.number, path, cancellation)
    try file.sync()
    if force {
      guard rename(temporary, path) == 0 else { throw FileError.last("rename into place", path) }
    } else {
      // Fails where somebody made it meanwhile.
      guard link(temporary, path) == 0 else {
        if errno == EEXIST { throw FileExists(path: path) }
        throw FileError.last("create", path)
      }
    }
    try DurableFile.syncDirectory(of: path)
    return bytes
  }

  private func copy(
    _ reader: DumpReader, _ stream: String, to descriptor: Int32, _ place: String, _ cancellation: Cancellation
  ) throws -> Int64 {
    let meter = ProgressMeter()
    defer { meter.finish() }
    var done: Int64 = 0
    try reader.read(stream, cancellation: cancellation) { bytes in
      var rest = bytes
      while rest.count > 0 {
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw FileError.last("write", place) }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      done += Int64(bytes.count)
      meter.update(
        RunProgress(phase: "dump", doneBytes: ByteCount(done), totalBytes: reader.header.totalBytes))
    }
    return done
  }
}

/// Several files cannot go down one pipe.
struct StreamsForOneOutput: OperatorError {
  var backup: BackupID
  var count: Int
  var summary: String { "cannot write backup \"\(backup)\" to standard output" }
  var detail: String? { "It has \(count) streams, since its job has \"parallel\"." }
  var hint: String? { "Name a directory with \"--output\", or load it with \"backupctl restore-dump\"." }
}

/// The dump would replace a file.
struct FileExists: OperatorError {
  var path: String
  var summary: String { "cannot write \"\(path)\"" }
  var detail: String? { "It exists." }
  var hint: String? { "Name another file, or replace it with \"--force\"." }
}

/// Nobody stored what was asked for.
struct GlobalsMissing: OperatorError {
  var backup: BackupID
  var summary: String { "could not find globals in backup \"\(backup)\"" }
  var detail: String? { "They are stored beside dumps of a whole database only." }
  var hint: String? { "Run \"backupctl show \(backup)\" to see what it is a dump of." }
}
