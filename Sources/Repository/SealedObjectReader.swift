public import BackupModel
internal import Compression
public import Cryptography
internal import KeyManagement
public import Storage

/// Opens the frames of one sealed object in one store. Used by one thread at a time.
public final class SealedObjectReader {
  public struct Frame: Sendable, Hashable {
    public var location: FrameLocation
    public var role: FrameRole
    /// The index of the frame's first fingerprint, and how many it has.
    var fingerprints: Range<Int>
  }

  public let kind: ObjectKind
  public let name: ObjectName
  public let store: StoreID
  public private(set) var frames: [Frame] = []
  public let size: Int64
  private let window: ObjectWindow
  /// Where frames end and the table begins.
  private var tableOffset: Int64 = 0
  let header: [UInt8]
  private let cipher: AESGCM
  private let decompressor: ZstdDecompressor
  private var pageFingerprints: [Fingerprint] = []
  private var scratch: [UInt8] = []

  /// What an object is opened for.
  public enum Use: Sendable {
    case content
    /// Its header and table alone.
    case table
  }

  /// Reads header, footer and table.
  /// - Throws: `StorageError` where the object is missing or unreadable, ``RepositoryError`` where it is damaged.
  public init(
    _ kind: ObjectKind, _ name: ObjectName, in store: RepositoryStore, keys: KeyRing, for use: Use = .content
  ) throws {
    self.kind = kind
    self.name = name
    self.store = store.id
    window = try ObjectWindow(
      store.objects, name, end: kind == .pack ? 256 << 10 : 1 << 20, step: use == .table ? 0 : Self.readAhead(kind))
    size = window.size
    guard size >= Int64(SealedFormat.headerSize + SealedFormat.footerSize + AESGCM.tagSize) else {
      throw RepositoryError.damaged(name, in: store.id, reason: "It has only \(size) bytes.")
    }
    header = try window.read(at: 0, count: SealedFormat.headerSize)
    let key = try Self.key(header, kind, name, store.id, keys)
    cipher = try AESGCM(key: key, for: .open)
    decompressor = try ZstdDecompressor()
    try readTable()
  }

  /// Checks an object's header and derives its key.
  static func key(
    _ header: [UInt8], _ kind: ObjectKind, _ name: ObjectName, _ store: StoreID, _ keys: KeyRing
  ) throws -> SymmetricKey {
    try header.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let magic = try reader.take(8, "the header")
      let version: UInt16 = try reader.integer("the header")
      let found: UInt16 = try reader.integer("the header")
      guard magic.elementsEqual(SealedFormat.magic) else {
        throw RepositoryError.damaged(name, in: store, reason: "It does not begin as a sealed object does.")
      }
      guard version == SealedFormat.version else {
        throw RepositoryError.formatUnknown(
          name.text, store, found: Int(version), known: Int(SealedFormat.version))
      }
      guard found == kind.rawValue else {
        throw RepositoryError.damaged(name, in: store, reason: "It is of kind \(found), not \(kind.rawValue).")
      }
      let reserved: UInt32 = try reader.integer("the header")
      guard reserved == 0 else { throw RepositoryError.damaged(name, in: store, reason: "Its header is not ours.") }
      let id = try reader.id("the header")
      guard let dataKey = keys.dataKey(id) else { throw RepositoryError.keyMissing(name, in: store, id) }
      let salt = Array(try reader.take(32, "the header"))
      return try SealedFormat.key(dataKey, salt: salt, kind: kind, repository: keys.repository, name: name)
    }
  }

  /// Content is read from its beginning to its end, page maps more here and there.
  private static func readAhead(_ kind: ObjectKind) -> Int { kind == .metadata ? 1 << 20 : 4 << 20 }

  private func damaged(_ reason: String) -> RepositoryError { .damaged(name, in: store, reason: reason) }

  private func readTable() throws {
    let footerBytes = try window.read(
      at: size - Int64(SealedFormat.footerSize), count: SealedFormat.footerSize)
    let footer = try footerBytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let footer = SealedFormat.Footer(
        tableOffset: try reader.integer("the footer"), tableSealedLength: try reader.integer("the footer"),
        tablePlainLength: try reader.integer("the footer"), frameCount: try reader.integer("the footer"))
      guard bytes.suffix(8).elementsEqual(SealedFormat.footerMagic) else {
        throw damaged("It does not end as a sealed object does; it may have been cut off.")
      }
      return footer
    }
    let end = UInt64(size) - UInt64(SealedFormat.footerSize)
    guard footer.tableOffset >= UInt64(SealedFormat.headerSize), footer.tableOffset <= end,
      end - footer.tableOffset == UInt64(footer.tableSealedLength), Int(footer.tableSealedLength) >= AESGCM.tagSize,
      Int(footer.tablePlainLength) <= SealedFormat.maximumTable,
      Int(footer.tableSealedLength) <= ZstdCompressor.bound(Int(footer.tablePlainLength)) + AESGCM.tagSize
    else { throw damaged("Its footer places the table where it cannot be.") }
    tableOffset = Int64(footer.tableOffset)
    let sealed = try window.read(at: tableOffset, count: Int(footer.tableSealedLength))
    window.dropEnd()
    var plain = [UInt8](repeating: 0, count: Int(footer.tablePlainLength))
    try sealed.withUnsafeBytes { sealed in
      try plain.withUnsafeMutableBytes {
        try open(sealed, nonce: SealedFormat.tableNonce, associated: header + footerBytes, into: $0, what: "table")
      }
    }
    do {
      (frames, pageFingerprints) = try Self.decodeTable(
        plain, frameCount: Int(footer.frameCount), tableOffset: UInt32(clamping: footer.tableOffset))
    } catch let error as ByteReader.Malformed {
      throw damaged("Its table is malformed: \(error.what).")
    }
  }

  /// - Throws: `ByteReader.Malformed`.
  static func decodeTable(
    _ plain: [UInt8], frameCount: Int, tableOffset: UInt32
  ) throws -> (frames: [Frame], fingerprints: [Fingerprint]) {
    var frames: [Frame] = []
    var pageFingerprints: [Fingerprint] = []
    try plain.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      frames.reserveCapacity(min(frameCount, bytes.count / SealedFormat.tableEntrySize))
      var fingerprints = 0
      for number in 0..<frameCount {
        let location = FrameLocation(
          number: UInt32(number), offset: try reader.integer("a table entry"),
          sealedLength: try reader.integer("a table entry"), plainLength: try reader.integer("a table entry"))
        let role: UInt8 = try reader.integer("a table entry")
        let slots: UInt8 = try reader.integer("a table entry")
        let _: UInt16 = try reader.integer("a table entry")
        let (end, overflow) = location.offset.addingReportingOverflow(location.sealedLength)
        guard let role = FrameRole(rawValue: role), !overflow, end <= tableOffset,
          location.offset >= SealedFormat.headerSize, location.sealedLength >= AESGCM.tagSize,
          location.plainLength <= SealedFormat.maximumFrame
        else { throw ByteReader.Malformed(what: "it has an entry that cannot be") }
        frames.append(Frame(location: location, role: role, fingerprints: fingerprints..<(fingerprints + Int(slots))))
        fingerprints += Int(slots)
      }
      pageFingerprints.reserveCapacity(min(fingerprints, reader.remaining / 16))
      for _ in 0..<fingerprints {
        pageFingerprints.append(
          Fingerprint(low: try reader.integer("a fingerprint"), high: try reader.integer("a fingerprint")))
      }
    }
    return (frames, pageFingerprints)
  }

  /// Fingerprints of a frame's slots.
  public func fingerprints(of frame: Frame) -> ArraySlice<Fingerprint> { pageFingerprints[frame.fingerprints] }

  /// One frame, opened and expanded.
  public func read(_ frame: Frame) throws -> [UInt8] {
    var plain = [UInt8](repeating: 0, count: Int(frame.location.plainLength))
    try plain.withUnsafeMutableBytes { try read(frame, into: $0) }
    return plain
  }

  /// One frame, opened and expanded.
  /// - Parameter buffer: Exactly as long as the frame's plain bytes.
  public func read(_ frame: Frame, into buffer: UnsafeMutableRawBufferPointer) throws {
    try window.withBytes(
      at: Int64(frame.location.offset), count: Int(frame.location.sealedLength), before: tableOffset
    ) {
      try open(
        $0, nonce: UInt64(frame.location.number), associated: header, into: buffer,
        what: "frame \(frame.location.number)")
    }
  }

  /// All stream frames joined.
  public func readStream() throws -> [UInt8] { try readJoined(.stream) }

  /// All frames of a role joined; empty where there is none.
  public func readJoined(_ role: FrameRole) throws -> [UInt8] {
    let streams = frames.filter { $0.role == role }
    var bytes = [UInt8](repeating: 0, count: streams.reduce(0) { $0 + Int($1.location.plainLength) })
    try bytes.withUnsafeMutableBytes { buffer in
      var position = 0
      for frame in streams {
        let end = position + Int(frame.location.plainLength)
        try read(frame, into: UnsafeMutableRawBufferPointer(rebasing: buffer[position..<end]))
        position = end
      }
    }
    return bytes
  }

  /// The first frame of a role, opened and expanded; nil where there is none.
  public func readFirst(_ role: FrameRole) throws -> [UInt8]? {
    try frames.first { $0.role == role }.map { try read($0) }
  }

  private func open(
    _ sealed: UnsafeRawBufferPointer, nonce: UInt64, associated: [UInt8], into buffer: UnsafeMutableRawBufferPointer,
    what: String
  ) throws {
    let compressedCount = sealed.count - AESGCM.tagSize
    if scratch.count < compressedCount { scratch = [UInt8](repeating: 0, count: compressedCount) }
    do {
      try scratch.withUnsafeMutableBytes { room in
        let compressed = UnsafeMutableRawBufferPointer(rebasing: room[..<compressedCount])
        try associated.withUnsafeBytes { try cipher.open(sealed, nonce: nonce, associated: $0, into: compressed) }
        try decompressor.expand(UnsafeRawBufferPointer(compressed), into: buffer)
      }
    } catch is CryptographyError {
      throw damaged("Its \(what) does not open: the bytes were changed, or lay elsewhere.")
    } catch let error as CompressionError {
      throw damaged("Its \(what) does not expand: \(error.detail ?? error.summary)")
    }
  }
}
