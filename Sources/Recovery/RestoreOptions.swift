public import BackupModel
public import BlockingWork

/// What to restore, from where and to where: `backupctl restore` translated.
public struct RestoreOptions: Sendable {
  /// Whether the restored server may touch what the original one used.
  public enum Role: Sendable, Hashable {
    /// Nothing is archived, no slot and no synchronous standby is named.
    case separate
    /// The server takes the original's place: those settings stay.
    case primary
  }

  public var cluster: ClusterID
  /// The new data directory; absolute.
  public var directory: String
  /// Nil picks the newest from which the target can be reached.
  public var backup: BackupID?
  public var target: RecoveryTarget
  /// Nil is the latest timeline that descends from the newest backup.
  public var timeline: TimelineID?
  public var action: TargetAction
  public var role: Role
  /// New locations of tablespaces by old ones, both absolute.
  public var tablespaces: [String: String]
  /// Where `pg_wal` shall lie; nil keeps it in the data directory. Absolute.
  public var walDirectory: String?
  /// Where configuration files that were outside the data directory are written; nil leaves them in the repository.
  public var configurationDirectory: String?
  /// Who shall own the files; nil is the owner of the parent directory where this process is root, else this user.
  public var owner: String?
  /// Threads that open frames and write files.
  public var workers: Int
  /// What those get of the host beside others.
  public var share: HostShare = .equal
  /// What the server will call to fetch WAL.
  public var fetch: FetchCommand

  public init(cluster: ClusterID, directory: String, fetch: FetchCommand) {
    self.cluster = cluster
    self.directory = directory
    self.fetch = fetch
    target = .endOfWAL
    action = .promote
    role = .separate
    tablespaces = [:]
    workers = 2
  }
}

/// How a restored server gets its WAL: `backupd-wal fetch` with the configuration that names the repository.
public struct FetchCommand: Sendable, Hashable {
  /// Absolute path of `backupd-wal`.
  public var executable: String
  /// Absolute path of the configuration file.
  public var configuration: String
  /// Nil: all stores that are read from.
  public var store: StoreID?
  /// The stores as they were then; nil as they are.
  public var asOf: Timestamp?
  /// Absolute paths by the name of the credential, as `--credential` gave them.
  public var credentialFiles: [String: String]
  public init(
    executable: String, configuration: String, store: StoreID? = nil, asOf: Timestamp? = nil,
    credentialFiles: [String: String] = [:]
  ) {
    self.store = store
    self.credentialFiles = credentialFiles
    self.executable = executable
    self.configuration = configuration
    self.asOf = asOf
  }

  /// The value of `restore_command`: run by `/bin/sh` in the data directory.
  /// - SeeAlso: `DESIGN.md`, "WAL"; PostgreSQL's manual, `restore_command`.
  func restoreCommand(cluster: ClusterID, until: WALPosition, without stores: [StoreID] = []) -> String {
    var words = [executable, "fetch", "--config", configuration, "--cluster", cluster.rawValue]
    words += ["--until", PlannedEnd.text(until)]
    if let store { words += ["--store", store.rawValue] }
    for store in stores { words += ["--without", store.rawValue] }
    if let asOf { words += ["--as-of", asOf.description] }
    for (name, file) in credentialFiles.sorted(by: { $0.key < $1.key }) {
      words += ["--credential", "\(name)=\(file)"]
    }
    // PostgreSQL replaces %f and %p and reads %% as %.
    return words.map { ShellWord.quoted($0).replacingPercents }.joined(separator: " ") + " %f \"%p\""
  }
}

/// The value of `--until`: timeline in decimal, then the LSN as PostgreSQL prints it, `1/16/B374D848`.
public enum PlannedEnd {
  public static func text(_ position: WALPosition) -> String { "\(position.timeline)/\(position.lsn)" }

  /// - Throws: `FormatError` for any other form.
  public static func parse(_ text: String) throws(FormatError) -> WALPosition {
    guard let slash = text.firstIndex(of: "/"), let timeline = UInt32(text[..<slash]), timeline > 0,
      let lsn = try? LSN(String(text[text.index(after: slash)...]))
    else {
      throw .invalid(what: "end of recovery", text: text, expected: "timeline/LSN, such as 1/16/B374D848")
    }
    return WALPosition(timeline: TimelineID(timeline), lsn: lsn)
  }
}

enum ShellWord {
  /// A word as `/bin/sh` reads it back: in single quotes where it has anything but plain characters.
  static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x3A, 0x40, 0x5F: true
      default: false
      }
    }
    if isPlain && !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

extension String {
  fileprivate var replacingPercents: String {
    split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
  }
}
