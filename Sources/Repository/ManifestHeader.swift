public import BackupModel

/// A page whose checksum did not fit, also when it was read again.
public struct DamagedPage: Sendable, Hashable, Codable {
  public var path: String
  /// The block within its relation fork, as PostgreSQL counts.
  public var block: UInt32
  public init(path: String, block: UInt32) {
    self.path = path
    self.block = block
  }
}

/// What a manifest says of its backup as a whole: the JSON of its first frame.
public struct ManifestHeader: Sendable, Hashable, Codable {
  public struct Tablespace: Sendable, Hashable, Codable {
    public var oid: UInt32
    public var location: String
    public init(oid: UInt32, location: String) {
      self.oid = oid
      self.location = location
    }
  }
  /// A pack or metadata pack that this backup uses.
  public struct LivePack: Sendable, Hashable {
    public var pack: PackID
    /// ``ObjectKind/pack`` or ``ObjectKind/metadata``.
    public var kind: ObjectKind
    /// Bytes of the whole object: a listing shows whether a store holds all of it.
    public var size: UInt32
    /// Sealed bytes of the frames this backup uses.
    public var liveBytes: UInt64
    public init(pack: PackID, kind: ObjectKind, size: UInt32, liveBytes: UInt64) {
      self.pack = pack
      self.kind = kind
      self.size = size
      self.liveBytes = liveBytes
    }

    /// Id (16 bytes), live bytes (u64), size (u32), kind (u16), 0 (u16).
    static let encodedSize = 32

    func encode(into writer: inout ByteWriter) {
      writer.append(bigEndian: pack)
      writer.append(liveBytes)
      writer.append(size)
      writer.append(kind.rawValue)
      writer.append(UInt16(0))
    }

    init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
      pack = try reader.id("a pack")
      liveBytes = try reader.integer("a pack")
      size = try reader.integer("a pack")
      guard let kind = ObjectKind(rawValue: try reader.integer("a pack")), kind == .pack || kind == .metadata else {
        throw ByteReader.Malformed(what: "a pack of unknown kind")
      }
      self.kind = kind
      let _: UInt16 = try reader.integer("a pack")
    }
  }

  /// What a logical backup is a dump of.
  public struct Dump: Sendable, Hashable, Codable {
    public var database: String
    /// The program that made it, as it names itself.
    public var program: String
    /// pg_dump's options for what is in the dump.
    public var selection: [String]
    /// The server's clock when the dump's snapshot was taken; its position in the WAL is `startLSN`.
    public var snapshot: Timestamp
    /// Whether the roles and tablespaces of the cluster are beside it.
    public var globals: Bool
    public var pieces: UInt64 = 0
    /// Pieces that the parent did not have.
    public var piecesNew: UInt64 = 0
    /// Bytes of pieces stored anew although the parent had them: their frames were mostly dead.
    public var rewrittenBytes = ByteCount(0)
    public init(database: String, program: String, selection: [String], snapshot: Timestamp, globals: Bool) {
      self.database = database
      self.program = program
      self.selection = selection
      self.snapshot = snapshot
      self.globals = globals
    }
  }

  public static let formatVersion = 1

  /// A reader refuses a version it does not know.
  public var format: Int
  public var id: BackupID
  public var cluster: ClusterID
  public var systemIdentifier: SystemIdentifier
  public var kind: BackupKind
  public var job: JobID?
  public var run: RunID?
  /// Order within the lineage.
  public var sequence: UInt64
  public var parent: BackupID?
  public var started: Timestamp
  public var finished: Timestamp
  public var timeline: TimelineID
  public var startLSN: LSN
  public var stopLSN: LSN
  /// `server_version_num`, e.g. 150020.
  public var serverVersion: Int
  public var walSegmentBytes: UInt64
  public var dataChecksums: Bool
  /// `stream` or `direct`.
  public var source: String
  public var tablespaces: [Tablespace]
  public var fileCount: UInt64
  public var totalBytes: ByteCount
  public var newBytes: ByteCount
  public var storedBytes: ByteCount
  public var pagesRead: UInt64
  public var pagesChanged: UInt64
  /// Pages stored anew although they had not changed: their frames were mostly dead, or a store lacked their pack.
  public var pagesRewritten: UInt64?
  public var damagedPages: [DamagedPage]
  public var warnings: [String]
  /// Metadata packs that carry on the body, in order, where the manifest outgrows one object.
  public var parts: [PackID]
  /// Where the server's configuration files were, absolute: `config_file`, `hba_file`, `ident_file`.
  public var configurationFiles: [String: String]
  /// Of a logical backup.
  public var dump: Dump?

  public init(
    id: BackupID, cluster: ClusterID, systemIdentifier: SystemIdentifier, kind: BackupKind, job: JobID?, run: RunID?,
    sequence: UInt64, started: Timestamp
  ) {
    format = Self.formatVersion
    self.id = id
    self.cluster = cluster
    self.systemIdentifier = systemIdentifier
    self.kind = kind
    self.job = job
    self.run = run
    self.sequence = sequence
    self.started = started
    finished = started
    timeline = TimelineID(1)
    startLSN = LSN(0)
    stopLSN = LSN(0)
    serverVersion = 0
    walSegmentBytes = 16 << 20
    dataChecksums = false
    source = "stream"
    tablespaces = []
    fileCount = 0
    totalBytes = ByteCount(0)
    newBytes = ByteCount(0)
    storedBytes = ByteCount(0)
    pagesRead = 0
    pagesChanged = 0
    damagedPages = []
    warnings = []
    parts = []
    configurationFiles = [:]
  }

  /// The backup as lists show it.
  public func backup(stores: [StoreID], missingStores: [StoreID]) -> Backup {
    var backup = Backup(
      id: id, cluster: cluster, kind: kind, job: job, started: started, finished: finished, startLSN: startLSN,
      stopLSN: stopLSN, timeline: timeline, systemIdentifier: systemIdentifier, sequence: sequence,
      totalBytes: totalBytes, newBytes: newBytes, storedBytes: storedBytes, parent: parent, stores: stores,
      missingStores: missingStores)
    backup.database = dump?.database
    backup.snapshot = dump?.snapshot
    return backup
  }
}
