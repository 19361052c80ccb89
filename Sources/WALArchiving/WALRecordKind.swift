internal import BackupModel
internal import Repository

/// The records an index is made of.
/// - SeeAlso: PostgreSQL source, `xact.h`, `pg_control.h`, `rmgrlist.h`.
enum WALRecordKind {
  case transaction(WALIndex.Outcome)
  case restorePoint
  case segmentSwitch

  /// - Parameters: `xl_info` and `xl_rmid` of the record's header.
  init?(info: UInt8, manager: UInt8) {
    switch (manager, manager == 1 ? info & 0x70 : info & 0xF0) {
    case (1, 0x00): self = .transaction(.commit)
    case (1, 0x20): self = .transaction(.abort)
    case (1, 0x30): self = .transaction(.commitPrepared)
    case (1, 0x40): self = .transaction(.abortPrepared)
    case (0, 0x70): self = .restorePoint
    case (0, 0x40): self = .segmentSwitch
    default: return nil
    }
  }
}

/// The main data of one record, of which perhaps only the beginning was kept.
struct WALRecordBody {
  private let record: [UInt8]
  private let info: UInt8
  /// Where the main data begins; nil where the headers before it make no sense.
  private let data: Int?

  init(record: [UInt8]) {
    self.record = record
    info = record.count > 16 ? record[16] : 0
    data = Self.dataOffset(record)
  }

  /// Transaction ends and restore points touch no blocks: their headers are at most an origin, a top-level xid and the
  /// length of the main data.
  private static func dataOffset(_ record: [UInt8]) -> Int? {
    var offset = WALRecordDecoder.recordHeader
    while offset < record.count {
      switch record[offset] {
      case 255: return offset + 2
      case 254: return offset + 5
      case 253: offset += 3
      case 252: offset += 5
      default: return nil
      }
    }
    return nil
  }

  private func number<Value: FixedWidthInteger>(_ offset: Int, _: Value.Type) -> Value? {
    guard offset >= 0, offset <= record.count - MemoryLayout<Value>.size else { return nil }
    return record.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
  }

  /// `xact_time` and `rp_time` both come first.
  var time: Timestamp? {
    data.flatMap { number($0, UInt64.self) }.map { Timestamp(postgres: Int64(bitPattern: $0)) }
  }

  var restorePointName: String? {
    guard let data, record.count >= data + 8 + 64 else { return nil }
    return String(decoding: record[(data + 8)..<(data + 72)].prefix { $0 != 0 }, as: UTF8.self)
  }

  /// The transaction that ended. A prepared one stands behind the lists of what it did.
  /// - SeeAlso: PostgreSQL source, `xactdesc.c`, `ParseCommitRecord` and `ParseAbortRecord`.
  func transaction(_ outcome: WALIndex.Outcome, headerXID: UInt32, magic: UInt16?) -> UInt32? {
    guard outcome == .commitPrepared || outcome == .abortPrepared else { return headerXID }
    guard let data, info & 0x80 != 0, let flags = number(data + 8, UInt32.self), flags & 1 << 4 != 0 else { return nil }
    var offset = data + 12
    if flags & 1 << 0 != 0 { offset += 8 }
    // Subtransactions, relation files, dropped statistics, invalidation messages: a count, then that many items.
    var lists: [(flag: UInt32, size: Int)] = [(1 << 1, 4), (1 << 2, 12)]
    // PostgreSQL 18 widened the object's number in a dropped statistic to 64 bits.
    lists.append((1 << 8, magic ?? 0 >= 0xD118 ? 16 : 12))
    if outcome == .commitPrepared { lists.append((1 << 3, 16)) }
    for list in lists where flags & list.flag != 0 {
      guard let count = number(offset, Int32.self), count >= 0, Int(count) <= record.count / list.size else {
        return nil
      }
      offset += 4 + Int(count) * list.size
    }
    return number(offset, UInt32.self)
  }
}
