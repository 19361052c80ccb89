public import BackupModel

/// Why WAL could not be received, kept or shipped.
public enum WALArchivingError: OperatorError, Equatable {
  /// A page is not the one that belongs at this position.
  case pageInvalid(WALPosition, String)
  case streamNotContiguous(expected: WALPosition, found: LSN)
  /// The server sends other bytes than those it sent before, or has less WAL than it had.
  case serverRolledBack(WALPosition, reason: String)
  case foreignSystemIdentifier(ClusterID, expected: SystemIdentifier, found: SystemIdentifier)
  case segmentSizeChanged(expected: UInt64, found: UInt64)
  /// The server's timeline does not descend from the one we hold.
  case timelineForked(held: TimelineID, server: TimelineID, reason: String)
  case landingUnreadable(String, reason: String)
  case landingInUse(String)
  /// A store holds something else under a name that is ours to write.
  case contentDiffers(String, store: StoreID)
  /// A store holds something that does not open under a name that is ours to write.
  case objectUnusable(String, store: StoreID, cause: ErrorReport)
  /// WAL did not reach a store in time.
  case notStored(WALPosition, reached: [StoreID: LSN?], cause: ErrorReport?)
  case notStreaming(ClusterID, cause: ErrorReport?)
  /// Not the name of a file that PostgreSQL archives, or no absolute path.
  case pushedNameUnknown(String)
  case pushedFileInvalid(path: String, reason: String)
  /// A file of this name was pushed before and holds something else.
  case pushedContentDiffers(String, held: String)
  /// The landing directory's file system keeps nothing through a restart of the host.
  case landingVolatile(String, kind: String)
  /// The archiver has not begun, so nothing can be pushed now.
  case notArchiving
  /// Landed, but not in the stores in time.
  case pushNotStored(cause: ErrorReport?)
  /// WAL was removed from the server while a backup needed it.
  case walLost(first: WALPosition, end: LSN)

  public var summary: String {
    switch self {
    case .pageInvalid(let position, _): "cannot take the WAL page at \(position) from the server"
    case .streamNotContiguous(let expected, _): "could not stream WAL on from \(expected)"
    case .serverRolledBack: "cannot stream WAL on: the server was rolled back"
    case .foreignSystemIdentifier(let cluster, _, _): "cannot archive WAL of another cluster as \"\(cluster)\""
    case .segmentSizeChanged: "cannot stream WAL on: the server's WAL segment size changed"
    case .timelineForked(_, let server, _): "cannot follow the server to timeline \(server)"
    case .landingUnreadable(let path, _): "cannot read \"\(path)\""
    case .landingInUse(let path): "cannot use the landing directory \"\(path)\""
    case .contentDiffers(let name, let store), .objectUnusable(let name, let store, _):
      "cannot store \"\(name)\" in store \"\(store)\""
    case .notStored(let position, _, _): "could not bring WAL up to \(position) into every required store in time"
    case .notStreaming(let cluster, _): "could not get WAL of cluster \"\(cluster)\" to stream in time"
    case .pushedNameUnknown(let path): "cannot archive \"\(path.prefix(500))\""
    case .pushedFileInvalid(let path, _), .pushedContentDiffers(let path, _): "cannot archive \"\(path)\""
    case .landingVolatile(let path, _): "cannot promise the server that commits are safe in \"\(path)\""
    case .notArchiving: "cannot archive WAL now"
    case .pushNotStored: "could not bring pushed WAL into every store in time"
    case .walLost(let first, let end): "could not keep the WAL from \(first) to \(end)"
    }
  }

  public var detail: String? {
    switch self {
    case .pageInvalid(_, let what): "In the page's header, \(what)."
    case .streamNotContiguous(let expected, let found): "\(expected.lsn) was expected next; the server sent \(found)."
    case .serverRolledBack(let position, let reason): "\(reason) First difference: \(position)."
    case .foreignSystemIdentifier(_, let expected, let found):
      "The repository's WAL goes on with system identifier \(expected); the server's is \(found)."
    case .segmentSizeChanged(let expected, let found): "It was \(expected) bytes and is \(found) bytes."
    case .timelineForked(let held, _, let reason): "WAL is held on timeline \(held). \(reason)"
    case .landingUnreadable(_, let reason): reason
    case .landingInUse: "Another process receives WAL into it."
    case .contentDiffers: "An object of that name is there and holds other WAL."
    case .objectUnusable(_, _, let cause):
      "An object of that name is there and cannot be used. \(cause.detail ?? cause.summary)"
    case .notStored(_, let reached, let cause):
      ([
        reached.sorted { $0.key < $1.key }
          .map { "Store \"\($0.key)\" holds WAL up to \($0.value.map(\.description) ?? "nothing yet")." }
          .joined(separator: " ")
      ] + [cause.map(Self.lastError)].compactMap { $0 }).joined(separator: " ")
    case .notStreaming(_, let cause): cause.map(Self.lastError)
    case .walLost: "The server removed it before it was received."
    case .pushedNameUnknown:
      "It is not the absolute path of a WAL segment, or of a .history, .partial or .backup file."
    case .pushedFileInvalid(_, let reason): reason
    case .pushedContentDiffers(_, let held): "\"\(held)\" has the same name and holds other WAL."
    case .landingVolatile(_, let kind): "It lies on \(kind), which forgets everything when the host stops."
    case .notArchiving: "The daemon has not yet learnt whose WAL this is, or begins its WAL job anew."
    case .pushNotStored(let cause): cause.map(Self.lastError) ?? "It is landed and on its way."
    }
  }

  private static func lastError(_ cause: ErrorReport) -> String {
    "Last error: " + [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ") + "."
  }

  public var hint: String? {
    switch self {
    case .serverRolledBack:
      "If the server was restored from a backup or a snapshot, initialise its archive anew under another cluster name; "
        + "otherwise check that the connection leads to the right server."
    case .foreignSystemIdentifier(let cluster, _, _):
      "Check that the connection leads to the right server. If it was upgraded by pg_upgrade or made anew by initdb, "
        + "run \"backupctl cluster accept \(cluster)\"."
    case .segmentSizeChanged: "A cluster with another segment size needs a cluster name of its own."
    case .timelineForked:
      "Check that the connection leads to the primary that is meant: two servers were promoted from this cluster."
    case .landingUnreadable: "Look at the file; move it away to begin anew from what the server's slot still keeps."
    case .landingInUse: "Stop the other backupd that uses this state directory."
    case .pushedNameUnknown: "archive_command passes \"%p\"; backupd-wal makes it absolute."
    case .landingVolatile: "Set daemon.state-directory to a place on a disk, or synchronous to false."
    case .notArchiving: "PostgreSQL keeps the file and asks again."
    case .pushNotStored(let cause): cause?.hint ?? "PostgreSQL asks again."
    case .contentDiffers, .pushedContentDiffers:
      "Two servers archive under one cluster name, or one was rolled back; find out which, and stop the other."
    case .objectUnusable:
      "Remove the object there: what it should hold is kept in the landing directory, and stored within a minute."
    case .notStored(_, _, let cause), .notStreaming(_, let cause): cause?.hint
    case .walLost: "Raise max_slot_wal_keep_size or wal_keep_size on the server, then take the backup again."
    case .pageInvalid, .streamNotContiguous, .pushedFileInvalid: nil
    }
  }

  /// Whether only a person can make it go on.
  var isFinal: Bool {
    switch self {
    case .serverRolledBack, .foreignSystemIdentifier, .segmentSizeChanged, .timelineForked, .landingUnreadable,
      .landingInUse, .landingVolatile, .walLost:
      true
    default: false
    }
  }
}
