internal import BackupModel
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// What a restore will write, added up from the manifest before anything is written.
struct RestoreExtent {
  /// By root.
  private var bytes: [String: Int64] = [:]
  private let layout: DirectoryLayout
  private(set) var files = 0
  private(set) var totalBytes: Int64 = 0
  private(set) var hasBackupLabel = false
  private(set) var hasControlFile = false
  private(set) var hasPostgresConfiguration = false
  /// Where configuration files from outside the data directory will be written.
  private(set) var configurationFiles: [String] = []

  /// Reads the manifest once.
  init(_ reader: BackupReader, _ layout: DirectoryLayout) throws {
    self.layout = layout
    var bytes: [String: Int64] = [:]
    try reader.forEachFile { file in
      if file.path == "backup_label" { hasBackupLabel = true }
      if file.path == "global/pg_control" { hasControlFile = true }
      if file.path == "postgresql.conf" { hasPostgresConfiguration = true }
      guard let path = layout.path(of: file) else { return }
      if file.kind == .configuration { configurationFiles.append(path) }
      files += 1
      totalBytes += Int64(file.size)
      // File systems hand out blocks.
      bytes[layout.root(of: file), default: 0] += (Int64(file.size) + 4095) / 4096 * 4096
    }
    // Replay needs room for segments on their way in and for those recycled.
    bytes[layout.walDirectory ?? layout.directory, default: 0] += 3 * Int64(reader.header.walSegmentBytes)
    self.bytes = bytes
  }

  /// - Throws: ``RecoveryError/spaceLacking(_:needed:free:holding:)``.
  func check() throws {
    var systems: [dev_t: (path: String, needed: Int64, holding: [String])] = [:]
    for root in layout.roots + (layout.configurationDirectory.map { [.init(path: $0, what: "configuration")] } ?? []) {
      let existing = Self.existing(root.path)
      var status = stat()
      guard stat(existing, &status) == 0 else { throw FileError.last("look at", existing) }
      let needed = bytes[root.path] ?? 0
      systems[status.st_dev, default: (existing, 0, [])].needed += needed
      systems[status.st_dev]?.holding.append("the \(root.what) (\(ByteCount(needed)))")
    }
    for system in systems.values {
      var status = statvfs()
      guard statvfs(system.path, &status) == 0 else { throw FileError.last("look at", system.path) }
      let free = Int64(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
      guard free >= system.needed else {
        throw RecoveryError.spaceLacking(
          system.path, needed: ByteCount(system.needed), free: ByteCount(free), holding: system.holding)
      }
    }
  }

  /// The path or the nearest directory above it that exists.
  private static func existing(_ path: String) -> String {
    var path = path
    while !DurableFile.exists(path), path != "/", path != "." { path = DurableFile.parent(of: path) }
    return path
  }
}
