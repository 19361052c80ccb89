public import BackupModel
public import Repository

/// Reads WAL as it comes, in pieces of any size, and notes which transactions ended where.
///
/// Two kinds of trouble are kept apart. A page that is not the page this position must hold (another cluster, another
/// segment, a hole in the stream) throws: such bytes must not be acknowledged. A record that makes no sense on a page
/// that is right only makes the index partial: an index is a help, and must never stop WAL from being kept.
///
/// Bounded memory: bodies are skipped, only transaction ends and restore points are copied.
/// - SeeAlso: PostgreSQL source, `xlogreader.c` (`XLogDecodeNextRecord`), `xlog_internal.h`, `xlogrecord.h`.
public struct WALRecordDecoder: Sendable {
  /// A record that the bytes so far leave unfinished: what the decoder of the next segment must know.
  public struct OpenRecord: Sendable, Hashable, Codable {
    public var start: LSN
    /// The whole record's length; zero while its first four bytes are not all there.
    public var length: UInt32
    public var received: UInt32
    /// The record's first bytes, as far as they matter.
    public var head: [UInt8]

    /// It may have been read from a file.
    var isConsistent: Bool {
      let isHeaderThere = head.count >= min(Int(received), WALRecordDecoder.recordHeader)
      return length == 0
        ? (1..<4).contains(received) && isHeaderThere
        : Int(length) >= WALRecordDecoder.recordHeader && received >= 4 && received < length && isHeaderThere
    }
  }

  public static let pageSize: UInt64 = 8192
  /// Page magic of PostgreSQL 15, 16, 17 and 18.
  static let magics: Set<UInt16> = [0xD110, 0xD113, 0xD116, 0xD118]
  static let recordHeader = 24
  /// A record of a prepared transaction is kept whole up to this size, to find the xid behind its lists.
  static let preparedLimit = 16 << 20
  static let plainLimit = 256

  private enum State { case records, resynchronising, restOfSegment }

  private let timeline: TimelineID
  private let segmentSize: UInt64
  private let systemIdentifier: SystemIdentifier?
  private var state = State.records
  /// The next byte to be fed.
  private(set) var position: UInt64
  private var isFirstPage = true
  private var pageHeader: [UInt8] = []
  private var magic: UInt16?

  private var recordStart: UInt64?
  private var recordLength: UInt32 = 0
  private var recordReceived: UInt32 = 0
  private var captureLimit = Self.recordHeader
  private var captured: [UInt8] = []
  /// Bytes of a record whose beginning was never seen.
  private var orphanBytes: UInt32 = 0

  private var index: WALIndex

  /// - Parameters:
  ///   - start: The beginning of a page, as a rule of a segment.
  ///   - systemIdentifier: What the first page of each segment must carry; nil to take any.
  ///   - openRecord: What the decoder of the bytes before left unfinished; without it, a record that began before
  ///     `start` is skipped.
  public init(
    from start: WALPosition, segmentSize: WALSegmentSize, systemIdentifier: SystemIdentifier?,
    openRecord: OpenRecord? = nil
  ) {
    timeline = start.timeline
    self.segmentSize = segmentSize.bytes
    self.systemIdentifier = systemIdentifier
    position = start.lsn.value
    index = WALIndex(timeline: timeline, first: start.lsn, end: start.lsn)
    if let openRecord, openRecord.isConsistent {
      recordStart = openRecord.start.value
      recordLength = openRecord.length
      recordReceived = openRecord.received
      captured = openRecord.head
      captureLimit = max(Self.recordHeader, Self.limit(head: captured))
    }
  }

  /// What the record that is unfinished now looks like; nil between records.
  public var openRecord: OpenRecord? {
    guard let recordStart, recordReceived > 0 else { return nil }
    return OpenRecord(
      start: LSN(recordStart), length: recordLength, received: recordReceived, head: captured)
  }

  /// The index of everything fed since the last call, or since the beginning.
  public mutating func takeIndex() -> WALIndex {
    var taken = index
    taken.openRecord = openRecord?.start
    index = WALIndex(timeline: timeline, first: LSN(position), end: LSN(position))
    return taken
  }

  /// Takes the bytes that follow those fed before.
  /// - Throws: ``WALArchivingError/pageInvalid(_:_:)`` where a page is not the one that belongs here. The decoder is of
  ///   no use after that.
  public mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(WALArchivingError) {
    var offset = 0
    while offset < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
      let taken: Int
      if state == .restOfSegment {
        taken = skipToSegmentEnd(rest.count)
      } else if Int(position % Self.pageSize) < headerSize {
        taken = try takePageHeader(rest)
      } else {
        taken = takeRecords(rest)
      }
      offset += taken
    }
    index.end = LSN(position)
  }

  public mutating func feed(_ bytes: [UInt8]) throws(WALArchivingError) {
    try bytes.withUnsafeBufferPointer { buffer throws(WALArchivingError) in try feed(UnsafeRawBufferPointer(buffer)) }
  }

  // MARK: Pages

  /// Bytes of the header of the page that holds `position`: the long one at the beginning of a segment.
  private var headerSize: Int { (position - position % Self.pageSize) % segmentSize == 0 ? 40 : 24 }

  private mutating func skipToSegmentEnd(_ available: Int) -> Int {
    let left = segmentSize - position % segmentSize
    let count = min(UInt64(available), left)
    position &+= count
    if position % segmentSize == 0 { state = .records }
    return Int(count)
  }

  private mutating func takePageHeader(_ bytes: UnsafeRawBufferPointer) throws(WALArchivingError) -> Int {
    let size = headerSize
    let count = min(bytes.count, size - pageHeader.count)
    pageHeader.append(contentsOf: bytes[..<count])
    position &+= UInt64(count)
    if pageHeader.count == size {
      try checkPageHeader()
      pageHeader.removeAll(keepingCapacity: true)
    }
    return count
  }

  private mutating func checkPageHeader() throws(WALArchivingError) {
    let address = position &- UInt64(pageHeader.count)
    let header = pageHeader
    func field<Value: FixedWidthInteger>(_ offset: Int, _: Value.Type) -> Value {
      header.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
    func invalid(_ what: String) -> WALArchivingError {
      .pageInvalid(WALPosition(timeline: timeline, lsn: LSN(address)), what)
    }
    let found = field(0, UInt16.self)
    guard Self.magics.contains(found), magic == nil || magic == found else {
      throw invalid("its magic number is \(Hexadecimal.padded(UInt64(found), digits: 4, uppercase: true))")
    }
    magic = found
    let flags = field(2, UInt16.self)
    let pageTimeline = field(4, UInt32.self)
    // The first segment of a timeline begins with pages copied from the one it left.
    guard pageTimeline >= 1, pageTimeline <= timeline.value else { throw invalid("it is of timeline \(pageTimeline)") }
    let pageAddress = field(8, UInt64.self)
    guard pageAddress == address else { throw invalid("it is the page of \(LSN(pageAddress))") }
    guard (flags & 2 != 0) == (header.count == 40) else { throw invalid("its header has the wrong length") }
    if header.count == 40 {
      let identifier = field(24, UInt64.self)
      if let systemIdentifier, identifier != systemIdentifier.value {
        throw invalid("it is of the cluster with system identifier \(identifier)")
      }
      guard field(32, UInt32.self) == UInt32(truncatingIfNeeded: segmentSize), field(36, UInt32.self) == 8192 else {
        throw invalid("its segment size or block size differs")
      }
    }
    continueRecord(flags: flags, remaining: field(16, UInt32.self))
    isFirstPage = false
  }

  /// Settles what becomes of a record that runs into this page.
  private mutating func continueRecord(flags: UInt16, remaining: UInt32) {
    let isContinued = flags & 1 != 0
    if state == .resynchronising {
      state = .records
      orphanBytes = isContinued ? remaining : 0
    } else if orphanBytes > 0 {
      // A record of which only the middle was seen; a server that crashed while writing it ends it early.
      if !isContinued || remaining != orphanBytes { orphanBytes = isContinued ? remaining : 0 }
    } else if recordReceived > 0 {
      // XLP_FIRST_IS_OVERWRITE_CONTRECORD: the server crashed within the record and gave it up.
      let isOverwritten = flags & 8 != 0
      let expected = recordLength &- recordReceived
      if !isContinued || (recordLength > 0 && remaining != expected) {
        if !isOverwritten { index.isPartial = true }
        forgetRecord()
        orphanBytes = isContinued ? remaining : 0
      }
    } else if isContinued {
      if !isFirstPage { index.isPartial = true }
      orphanBytes = remaining
    }
  }

  // MARK: Records

  private mutating func takeRecords(_ bytes: UnsafeRawBufferPointer) -> Int {
    let inPage = Int(Self.pageSize - position % Self.pageSize)
    let end = min(bytes.count, inPage)
    var offset = 0
    if state == .resynchronising {
      position &+= UInt64(end)
      return end
    }
    while offset < end && state == .records {
      if orphanBytes > 0 {
        let count = min(UInt32(clamping: end - offset), orphanBytes)
        orphanBytes -= count
        advance(&offset, Int(count))
        if orphanBytes == 0 { index.completeEnd = LSN(aligned(position)) }
      } else if recordReceived == 0, position % 8 != 0 {
        advance(&offset, min(end - offset, 8 - Int(position % 8)))
      } else if recordReceived == 0, end - offset >= Self.recordHeader, skipWholeRecord(bytes, &offset, end) {
        continue
      } else {
        takePart(of: bytes, &offset, end)
      }
      if state == .resynchronising { break }
    }
    return offset
  }

  private mutating func advance(_ offset: inout Int, _ count: Int) {
    offset += count
    position &+= UInt64(count)
  }

  private func aligned(_ value: UInt64) -> UInt64 { (value &+ 7) & ~7 }

  /// The common case: a record that lies here completely and says nothing about transactions.
  private mutating func skipWholeRecord(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ end: Int) -> Bool {
    let length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    guard length >= UInt32(Self.recordHeader), Int(length) <= end - offset else { return false }
    let manager = bytes[offset + 17]
    guard manager > 1 else { return false }
    advance(&offset, Int(length))
    index.completeEnd = LSN(aligned(position))
    return true
  }

  private mutating func takePart(of bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ end: Int) {
    if recordReceived == 0 {
      recordStart = position
      captured.removeAll(keepingCapacity: true)
      captureLimit = Self.recordHeader
    }
    let goal: UInt32 =
      recordLength == 0 ? 4 : recordReceived < UInt32(Self.recordHeader) ? UInt32(Self.recordHeader) : recordLength
    let count = min(end - offset, Int(goal - recordReceived))
    let kept = min(count, captureLimit - captured.count)
    if kept > 0 { captured.append(contentsOf: bytes[offset..<offset + kept]) }
    recordReceived += UInt32(count)
    advance(&offset, count)
    if recordReceived == 4 && recordLength == 0 { beginRecord() }
    if recordReceived == UInt32(Self.recordHeader) { captureLimit = Self.limit(head: captured) }
    if recordLength > 0 && recordReceived == recordLength { endRecord() }
  }

  private mutating func beginRecord() {
    recordLength = captured.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self)) }
    if recordLength == 0 {
      // Zeros where a record should begin: nothing has been written from here to the segment's end.
      forgetRecord()
      state = .restOfSegment
    } else if recordLength < UInt32(Self.recordHeader) {
      index.isPartial = true
      forgetRecord()
      state = .resynchronising
    }
  }

  private mutating func forgetRecord() {
    recordStart = nil
    recordLength = 0
    recordReceived = 0
  }

  /// How many bytes of a record matter, by its header.
  private static func limit(head: [UInt8]) -> Int {
    guard head.count >= recordHeader else { return recordHeader }
    guard let kind = WALRecordKind(info: head[16], manager: head[17]) else { return recordHeader }
    switch kind {
    case .transaction(let outcome):
      return outcome == .commitPrepared || outcome == .abortPrepared ? preparedLimit : plainLimit
    case .restorePoint: return plainLimit
    case .segmentSwitch: return recordHeader
    }
  }

  private mutating func endRecord() {
    let start = LSN(recordStart ?? position)
    var end = aligned(position)
    if let kind = WALRecordKind(info: captured[16], manager: captured[17]) {
      switch kind {
      case .segmentSwitch:
        // Recovery takes the rest of the segment for part of this record.
        state = position % segmentSize == 0 ? .records : .restOfSegment
        end = (position &+ segmentSize &- 1) / segmentSize * segmentSize
      case .transaction(let outcome):
        let body = WALRecordBody(record: captured)
        if let time = body.time {
          let xid = body.transaction(outcome, headerXID: headerXID, magic: magic) ?? 0
          index.entries.append(
            WALIndex.Entry(outcome: outcome, xid: xid, time: time, start: start, end: LSN(end)))
        } else {
          index.isPartial = true
        }
      case .restorePoint:
        let body = WALRecordBody(record: captured)
        if let time = body.time, let name = body.restorePointName {
          index.restorePoints.append(WALIndex.RestorePoint(name: name, time: time, start: start, end: LSN(end)))
        } else {
          index.isPartial = true
        }
      }
    }
    index.completeEnd = LSN(end)
    forgetRecord()
  }

  private var headerXID: UInt32 {
    captured.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) }
  }
}
