internal import BackupModel
internal import DurableFiles

/// What `global/pg_control` of PostgreSQL 15 to 18 says of a data directory.
/// - SeeAlso: PostgreSQL source, `catalog/pg_control.h`, `ControlFileData`.
struct ControlFile: Sendable, Hashable {
  /// `DBState`, the values that matter here.
  enum State: UInt32 {
    case shutDownInRecovery = 2
    case inArchiveRecovery = 5
    case inProduction = 6
  }

  var systemIdentifier: SystemIdentifier
  /// Nil for every other state.
  var state: State?
  var maxConnections: Int
  var maxWorkerProcesses: Int
  var maxWALSenders: Int
  var maxPreparedTransactions: Int
  var maxLocksPerTransaction: Int
  var walSegmentBytes: UInt64

  static func path(in directory: String) -> String { directory + "/global/pg_control" }

  /// - Throws: ``RecoveryError/notCluster(_:reason:)``, `FileError`.
  init(readingFrom directory: String) throws {
    try self.init(try DurableFile.read(Self.path(in: directory), limit: 65536), of: directory)
  }

  init(_ bytes: [UInt8], of directory: String) throws {
    guard bytes.count >= 296 else {
      throw RecoveryError.notCluster(directory, reason: "It has only \(bytes.count) bytes.")
    }
    func integer<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
      bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
    }
    func count(_ offset: Int) -> Int { Int(max(0, integer(offset, Int32.self))) }
    // PostgreSQL keeps this number in the file so that a reader can tell whether it knows the layout.
    guard Double(bitPattern: integer(208, UInt64.self)) == 1_234_567.0, integer(204, UInt32.self) == 8 else {
      let version = integer(8, UInt32.self)
      throw RecoveryError.notCluster(directory, reason: "Its layout (version \(version)) is not known here.")
    }
    systemIdentifier = SystemIdentifier(integer(0, UInt64.self))
    state = State(rawValue: integer(16, UInt32.self))
    maxConnections = count(180)
    maxWorkerProcesses = count(184)
    maxWALSenders = count(188)
    maxPreparedTransactions = count(192)
    maxLocksPerTransaction = count(196)
    walSegmentBytes = UInt64(integer(228, UInt32.self))
  }
}
