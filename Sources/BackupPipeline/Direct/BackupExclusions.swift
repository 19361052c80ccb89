/// What a base backup leaves out: PostgreSQL's own list.
///
/// - SeeAlso: PostgreSQL source, `basebackup.c`: `excludeDirContents`, `excludeFiles`, `sendDir`.
enum BackupExclusions {
  /// Directories whose content is made anew at each start: only they themselves are kept.
  private static let emptied: Set<String> = [
    "pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans",
  ]
  private static let files: Set<String> = [
    "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label", "tablespace_map", "backup_manifest",
    "postmaster.pid", "postmaster.opts",
  ]

  static func emptiesDirectory(_ name: String) -> Bool { emptied.contains(name) }

  /// Files and directories that are left out wherever they lie.
  static func excludes(_ name: String) -> Bool {
    files.contains(name) || name.hasPrefix("pg_internal.init") || name.hasPrefix("pgsql_tmp") || name == ".DS_Store"
  }

  /// A file of a temporary relation: `t<backend>_<relation>`, with fork and segment.
  static func isTemporaryRelation(_ name: String) -> Bool {
    guard name.utf8.first == 0x74, let underscore = name.firstIndex(of: "_") else { return false }
    let backend = name[name.index(after: name.startIndex)..<underscore]
    return isNumber(backend) && RelationName(String(name[name.index(after: underscore)...])) != nil
  }

  static func isNumber(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}

/// The parts of a relation file's name: `16384`, `16384_vm`, `16384_fsm.1`.
struct RelationName: Hashable {
  var relation: String
  var fork: String?

  init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let stem = parts.first, parts.count <= 2, parts.count == 1 || BackupExclusions.isNumber(parts[1]) else {
      return nil
    }
    let halves = stem.split(separator: "_", omittingEmptySubsequences: false)
    guard let number = halves.first, BackupExclusions.isNumber(number), halves.count <= 2 else { return nil }
    if halves.count == 2 {
      guard ["fsm", "vm", "init"].contains(halves[1]) else { return nil }
      fork = String(halves[1])
    }
    relation = String(number)
  }
}
