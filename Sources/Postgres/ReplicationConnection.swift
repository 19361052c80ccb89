public import BackupModel
public import BlockingWork
internal import CLibPQ

/// The commands of the physical replication protocol.
/// - SeeAlso: PostgreSQL documentation, "Streaming Replication Protocol".
public final class ReplicationConnection: Sendable {
  /// The connection underneath.
  public let connection: Connection

  /// Connects; see ``Connection/init(_:purpose:applicationName:cancellation:observeNotice:)``.
  public convenience init(
    _ conninfo: String, applicationName: String, cancellation: Cancellation,
    observeNotice: @escaping @Sendable (ServerMessage) -> Void = { _ in }
  ) throws {
    self.init(
      try Connection(
        conninfo, purpose: .replication, applicationName: applicationName, cancellation: cancellation,
        observeNotice: observeNotice))
  }

  public init(_ connection: Connection) {
    precondition(connection.purpose == .replication, "a replication connection was needed")
    self.connection = connection
  }

  public var address: ServerAddress { connection.address }

  /// Who the server is and how far its WAL is flushed (on a standby: replayed or received).
  public struct Identity: Sendable, Hashable {
    public var systemIdentifier: SystemIdentifier
    public var timeline: TimelineID
    public var lsn: LSN
  }

  /// - Throws: ``PostgresError``, `CancellationError`, as all commands here.
  public func identifySystem() throws -> Identity {
    let result = try connection.command("IDENTIFY_SYSTEM", while: "identify")
    guard let system = result.text(0, 0).flatMap({ try? SystemIdentifier($0) }),
      let timeline = result.text(0, 1).flatMap({ UInt32($0) }),
      let lsn = result.text(0, 2).flatMap({ try? LSN($0) })
    else { throw connection.protocolViolation("It answered IDENTIFY_SYSTEM without an identifier.") }
    return Identity(systemIdentifier: system, timeline: TimelineID(timeline), lsn: lsn)
  }

  /// The history file of a timeline above 1: its name and its bytes as they are in `pg_wal`.
  public func timelineHistory(_ timeline: TimelineID) throws -> (fileName: String, content: [UInt8]) {
    let result = try connection.command(
      "TIMELINE_HISTORY \(timeline.value)", while: "read the history of timeline \(timeline) from")
    guard let name = result.text(0, 0), let content = result.bytes(0, 1) else {
      throw connection.protocolViolation("It answered TIMELINE_HISTORY without a file.")
    }
    return (name, content)
  }

  /// A server parameter, as `SHOW` prints it.
  public func show(_ parameter: String) throws -> String {
    let result = try connection.command(
      "SHOW \(LibPQ.quoteIdentifier(parameter))", while: "read parameter \"\(parameter)\" of")
    guard let value = result.text(0, 0) else { throw connection.protocolViolation("It answered SHOW without a value.") }
    return value
  }

  public enum SlotLifetime: Sendable, Hashable {
    case permanent
    /// Gone when this connection is.
    case temporary
  }

  public enum SlotReservation: Sendable, Hashable {
    /// WAL is kept from now on.
    case immediate
    /// WAL is kept from the first time somebody streams.
    case firstUse
  }

  /// Makes a physical slot.
  public func createPhysicalSlot(
    _ name: String, reserveWAL: SlotReservation = .immediate, lifetime: SlotLifetime = .permanent
  ) throws {
    try LibPQ.checkSlotName(name)
    let temporary = lifetime == .temporary ? " TEMPORARY" : ""
    let options = reserveWAL == .immediate ? " (RESERVE_WAL)" : ""
    _ = try connection.command(
      "CREATE_REPLICATION_SLOT \(LibPQ.quoteIdentifier(name))\(temporary) PHYSICAL\(options)",
      while: "create replication slot \"\(name)\" on", slot: name)
  }

  public struct Slot: Sendable, Hashable {
    public var name: String
    /// The oldest WAL the slot keeps; nil where it keeps none yet, and where it lost it.
    public var restart: LSN?
    public var restartTimeline: TimelineID?
  }

  /// A physical slot; nil where there is none of that name.
  public func readSlot(_ name: String) throws -> Slot? {
    try LibPQ.checkSlotName(name)
    let result = try connection.command(
      "READ_REPLICATION_SLOT \(LibPQ.quoteIdentifier(name))", while: "read replication slot \"\(name)\" of", slot: name)
    guard result.text(0, 0) != nil else { return nil }
    return Slot(
      name: name, restart: result.text(0, 1).flatMap { try? LSN($0) },
      restartTimeline: result.text(0, 2).flatMap { UInt32($0) }.map { TimelineID($0) })
  }

  /// Removes a slot that nobody uses. Only ever call this for slots we made.
  /// - Parameter waiting: Whether to wait where it is in use: by a connection of ours that is just being closed.
  public func dropSlot(_ name: String, waiting: Bool = false) throws {
    try LibPQ.checkSlotName(name)
    _ = try connection.command(
      "DROP_REPLICATION_SLOT \(LibPQ.quoteIdentifier(name))\(waiting ? " WAIT" : "")",
      while: "drop replication slot \"\(name)\" on", slot: name)
  }

  /// Begins a base backup on this connection. See ``BaseBackupStream``.
  public func baseBackup(_ options: BaseBackupStream.Options) throws -> BaseBackupStream {
    try BaseBackupStream(connection, options)
  }

  /// Begins to stream WAL on this connection. See ``WALStream``.
  public func streamWAL(slot: String?, from start: WALPosition) throws -> WALStream {
    try WALStream(connection, slot: slot, from: start)
  }

  public func close() { connection.close() }
}
