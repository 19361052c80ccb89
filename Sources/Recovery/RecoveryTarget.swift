public import BackupModel

/// Where replay stops.
public enum RecoveryTarget: Sendable, Hashable, Codable {
  /// The last record the repository holds now.
  case endOfWAL
  /// Before the first transaction that ended after this instant.
  case time(Timestamp)
  /// After the first record that begins at or after this position, as PostgreSQL's `recovery_target_lsn`.
  case lsn(LSN)
  /// After this transaction has ended.
  case xid(UInt32)
  /// After the restore point of this name: the first after the backup.
  case name(String)
  /// As soon as the backup is consistent.
  case immediate

  /// For messages and reports: `time 2026-11-02T03:00:00Z`.
  public var text: String {
    switch self {
    case .endOfWAL: "end of WAL"
    case .time(let time): "time \(time)"
    case .lsn(let lsn): "LSN \(lsn)"
    case .xid(let xid): "transaction \(xid)"
    case .name(let name): "restore point \"\(name)\""
    case .immediate: "consistent state"
    }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let kind = try container.decode(String.self, forKey: .kind)
    switch kind {
    case "end": self = .endOfWAL
    case "time": self = .time(try container.decode(Timestamp.self, forKey: .value))
    case "lsn": self = .lsn(try container.decode(LSN.self, forKey: .value))
    case "xid": self = .xid(try container.decode(UInt32.self, forKey: .value))
    case "name": self = .name(try container.decode(String.self, forKey: .value))
    case "immediate": self = .immediate
    default:
      throw FormatError.invalid(what: "recovery target", text: kind, expected: "end, time, lsn, xid, name or immediate")
    }
  }

  /// `{"kind": "time", "value": "2026-11-02T03:00:00Z"}`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch self {
    case .endOfWAL: try container.encode("end", forKey: .kind)
    case .immediate: try container.encode("immediate", forKey: .kind)
    case .time(let time):
      try container.encode("time", forKey: .kind)
      try container.encode(time, forKey: .value)
    case .lsn(let lsn):
      try container.encode("lsn", forKey: .kind)
      try container.encode(lsn, forKey: .value)
    case .xid(let xid):
      try container.encode("xid", forKey: .kind)
      try container.encode(xid, forKey: .value)
    case .name(let name):
      try container.encode("name", forKey: .kind)
      try container.encode(name, forKey: .value)
    }
  }

  private enum Key: String, CodingKey { case kind, value }
}

/// What the server does once it has reached the target.
public enum TargetAction: String, Sendable, Hashable, Codable, CaseIterable { case promote, pause, shutdown }
