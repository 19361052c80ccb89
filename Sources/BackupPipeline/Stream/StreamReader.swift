internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository
internal import TarArchive

/// The reader of the backup road: the server's stream, taken apart into files.
struct StreamReader: ~Copyable {
  private let cluster: ClusterID
  private let writer: BackupWriter
  private var filler: FrameFiller
  private var parser: TarParser?
  /// `pg_tblspc/<oid>/` while a tablespace's archive comes.
  private var prefix = ""
  private var member: TarMember?
  private var serverManifest: ServerManifestCheck?
  private var files = ReceivedFiles()
  private let progress: (Int64) -> Void
  private var received: Int64 = 0
  private var reported: Int64 = 0

  init(
    _ cluster: ClusterID, _ writer: BackupWriter, _ filler: consuming FrameFiller,
    progress: @escaping (Int64) -> Void
  ) {
    self.cluster = cluster
    self.writer = writer
    self.filler = filler
    self.progress = progress
  }

  /// Reads to the end.
  /// - Returns: The stop position.
  mutating func read(_ stream: BaseBackupStream, cancellation: Cancellation) throws -> WALPosition {
    let stop = try stream.read { event in
      try cancellation.check()
      try take(event)
    }
    try endArchive()
    if serverManifest != nil { _ = try filler.end(kind: .file, mode: 0o600, modified: Timestamp.now().seconds) }
    try filler.finish()
    return stop
  }

  private mutating func take(_ event: BaseBackupStream.Event) throws {
    switch event {
    case .archive(let name, _):
      try endArchive()
      parser = TarParser(archive: name)
      // "16385.tar" holds tablespace 16385, "base.tar" the data directory.
      let stem = name.split(separator: ".").first ?? ""
      prefix = stem == "base" ? "" : "pg_tblspc/\(stem)/"
    case .data(let bytes):
      received += Int64(bytes.count)
      if received - reported >= 8 << 20 {
        reported = received
        progress(received)
      }
      try consume(bytes)
    case .manifest:
      try endArchive()
      files.sort()
      serverManifest = ServerManifestCheck(cluster: cluster)
      filler.begin("backup_manifest")
    case .manifestData(let bytes):
      try filler.append(bytes)
      let (files, cluster) = (files, cluster)
      try serverManifest?.consume(bytes) { path, size, checksum in
        try files.check(path, size: size, checksum: checksum, cluster: cluster)
      }
    case .progress:
      break
    }
  }

  private mutating func consume(_ bytes: UnsafeRawBufferPointer) throws {
    guard var parser = parser.take() else { return }
    try parser.consume(bytes) { event in
      switch event {
      case .member(let member): begin(member)
      case .data(let bytes): try filler.append(bytes)
      case .memberEnd: try endMember()
      }
    }
    self.parser = parser
  }

  private mutating func begin(_ member: TarMember) {
    self.member = member
    if member.kind == .file { filler.begin(prefix + member.path) }
  }

  private mutating func endMember() throws {
    guard let member else { return }
    self.member = nil
    let mode = UInt16(truncatingIfNeeded: member.mode & 0o7777)
    switch member.kind {
    case .file:
      let (size, checksum) = try filler.end(kind: .file, mode: mode, modified: member.modified)
      files.note(prefix + member.path, size: size, checksum: checksum)
    case .directory:
      // The root of an archive is the data directory or the tablespace itself.
      if member.path == "." { return }
      writer.add(ManifestFile(path: prefix + member.path, kind: .directory, mode: mode, modified: member.modified))
    case .symbolicLink(let target):
      writer.add(
        ManifestFile(
          path: prefix + member.path, kind: .symlink, mode: mode, modified: member.modified, linkTarget: target))
    }
  }

  private mutating func endArchive() throws {
    guard var parser = parser.take() else { return }
    try parser.finish()
  }
}
