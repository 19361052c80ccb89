public import BackupModel
internal import CLibPQ

/// One `BASE_BACKUP`: tar archives of the data directory and every tablespace, then the server's manifest.
///
/// The server's own checksum check is off (we check pages ourselves) and WAL is not included.
/// - SeeAlso: PostgreSQL documentation, "Streaming Replication Protocol", `BASE_BACKUP`.
public final class BaseBackupStream: Sendable {
  public enum Checkpoint: String, Sendable, Hashable { case fast, spread }

  public struct Options: Sendable, Hashable {
    /// Written into `backup_label`.
    public var label: String
    public var checkpoint: Checkpoint
    /// Bytes per second the server may send; held to its range of 32 KiB to 1 GiB. Nil for as fast as it can.
    public var maximumRate: ByteCount?

    public init(label: String, checkpoint: Checkpoint = .fast, maximumRate: ByteCount? = nil) {
      self.label = label
      self.checkpoint = checkpoint
      self.maximumRate = maximumRate
    }
  }

  public struct TablespaceInfo: Sendable, Hashable {
    /// Nil for the data directory itself.
    public var oid: UInt32?
    /// Absolute path on the server; nil for the data directory itself.
    public var location: String?
    /// The server's estimate, in whole KiB.
    public var size: ByteCount?
  }

  /// What the stream brings, in order. Buffers are valid only during the call.
  public enum Event {
    /// A tar archive begins. `name` is `base.tar` or `<oid>.tar`; `location` is empty for the data directory.
    case archive(name: String, location: String)
    case data(UnsafeRawBufferPointer)
    /// The server's manifest begins, after the last archive.
    case manifest
    case manifestData(UnsafeRawBufferPointer)
    /// Bytes the server has sent of the estimated total, tablespaces together.
    case progress(Int64)
  }

  static let action = "take a base backup of"
  private let connection: Connection
  /// Where recovery from this backup must begin reading WAL.
  public let start: WALPosition
  /// In the order of their archives: the data directory is last.
  public let tablespaces: [TablespaceInfo]

  /// Starts the backup: returns after the server's checkpoint, with nothing read yet.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public init(_ connection: Connection, _ options: Options) throws {
    self.connection = connection
    try connection.send(Self.command(options), [], while: Self.action)
    start = try Self.position(in: Self.result(of: connection), connection)
    tablespaces = try Self.tablespaces(in: Self.result(of: connection), connection)
    guard let copy = try connection.nextResult(while: Self.action), copy.status == PGRES_COPY_OUT else {
      throw connection.protocolViolation("It answered BASE_BACKUP without a stream.")
    }
  }

  /// Reads the whole stream. Cancellation, and an error of `body`, stop the backup and close the connection.
  ///
  /// - Returns: The position up to which WAL is needed to make the backup consistent.
  /// - Throws: ``PostgresError``, `CancellationError`, what `body` throws.
  public func read(_ body: (Event) throws -> Void) throws -> WALPosition {
    do {
      var parser = MessageParser()
      while true {
        // libpq's buffer may stay ahead of us for minutes, so the wait alone would not notice a cancellation.
        try connection.cancellation.check()
        let read = try connection.withCopyMessage(while: Self.action, until: nil) { bytes in
          guard let event = parser.event(bytes) else {
            throw PostgresError.protocolViolation("It sent an unknown part of a base backup.", connection.address)
          }
          try body(event)
        }
        if case .end = read { break }
      }
      // After -1 comes the closing of the COPY itself, then the stop position.
      let stop = try Self.position(in: Self.result(of: connection), connection)
      while let rest = try connection.nextResult(while: Self.action) {
        if rest.status == PGRES_FATAL_ERROR { throw connection.failure(of: rest, while: Self.action) }
      }
      return stop
    } catch {
      connection.abandon()
      throw error
    }
  }

  static func command(_ options: Options) -> String {
    var parts = [
      "LABEL \(LibPQ.quoteLiteral(options.label))", "PROGRESS true",
      "CHECKPOINT \(LibPQ.quoteLiteral(options.checkpoint.rawValue))", "WAL false", "WAIT false", "MANIFEST 'yes'",
      "MANIFEST_CHECKSUMS 'CRC32C'", "VERIFY_CHECKSUMS false",
    ]
    if let rate = options.maximumRate { parts.append("MAX_RATE \(min(max(rate.value / 1024, 32), 1_048_576))") }
    return "BASE_BACKUP (\(parts.joined(separator: ", ")))"
  }

  /// The next result set; the server's error where it is one.
  private static func result(of connection: Connection) throws -> ServerResult {
    while let result = try connection.nextResult(while: action) {
      let status = result.status
      if status == PGRES_TUPLES_OK { return result }
      if status == PGRES_FATAL_ERROR { throw connection.failure(of: result, while: action) }
      guard status == PGRES_COMMAND_OK else {
        throw connection.protocolViolation("It answered BASE_BACKUP out of order.")
      }
    }
    throw connection.protocolViolation("It ended BASE_BACKUP too early.")
  }

  private static func position(in result: borrowing ServerResult, _ connection: Connection) throws -> WALPosition {
    guard let lsn = result.text(0, 0).flatMap({ try? LSN($0) }),
      let timeline = result.text(0, 1).flatMap({ UInt32($0) })
    else { throw connection.protocolViolation("It answered BASE_BACKUP without a WAL position.") }
    return WALPosition(timeline: TimelineID(timeline), lsn: lsn)
  }

  private static func tablespaces(
    in result: borrowing ServerResult, _ connection: Connection
  ) throws -> [TablespaceInfo] {
    guard result.rowCount > 0, result.columnCount >= 3 else {
      throw connection.protocolViolation("It answered BASE_BACKUP without tablespaces.")
    }
    var tablespaces: [TablespaceInfo] = []
    for row in 0..<result.rowCount {
      let kibibytes = result.text(row, 2).flatMap { Int64($0) }
      tablespaces.append(
        TablespaceInfo(
          oid: result.text(row, 0).flatMap { UInt32($0) }, location: result.text(row, 1),
          size: kibibytes.map { ByteCount($0.multipliedReportingOverflow(by: 1024).partialValue) }))
    }
    return tablespaces
  }
}

extension BaseBackupStream {
  /// Takes one CopyData message apart: a type byte, then what it says.
  struct MessageParser {
    private var isManifest = false

    /// Nil where the message is not one of the protocol's.
    mutating func event(_ bytes: UnsafeRawBufferPointer) -> Event? {
      guard let type = bytes.first else { return nil }
      let rest = UnsafeRawBufferPointer(rebasing: bytes[1...])
      switch type {
      case UInt8(ascii: "d"): return isManifest ? .manifestData(rest) : .data(rest)
      case UInt8(ascii: "p"): return BigEndian.int64(rest, at: 0).map { .progress($0) }
      case UInt8(ascii: "m"):
        isManifest = true
        return .manifest
      case UInt8(ascii: "n"):
        // Two C strings. The first of the data directory's is "base.tar".
        let parts = rest.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, !isManifest else { return nil }
        return .archive(
          name: String(decoding: parts[0], as: UTF8.self), location: String(decoding: parts[1], as: UTF8.self))
      default: return nil
      }
    }
  }
}

/// Numbers as the protocol sends them.
enum BigEndian {
  static func uint64(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64? {
    guard offset >= 0, offset <= bytes.count - 8 else { return nil }
    return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
  static func int64(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int64? {
    uint64(bytes, at: offset).map { Int64(bitPattern: $0) }
  }
  static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
    }
  }
}
