public import BackupModel
public import Compression
public import Cryptography
public import KeyManagement
public import Storage

/// Memory for one sealed object; may be used for one after another.
///
/// - Note: `@unchecked Sendable`: handed from one owner to the next through a ring, never used by two at once.
public final class SealedBuffer: @unchecked Sendable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  public internal(set) var count = 0

  public init(capacity: Int) {
    self.capacity = capacity
    base = .allocate(byteCount: capacity, alignment: 4096)
  }
  deinit { base.deallocate() }

  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  func append(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { room($0.count).copyMemory(from: $0) }
    count += bytes.count
  }

  /// The next `size` bytes, to be written and then counted by the caller.
  func room(_ size: Int) -> UnsafeMutableRawBufferPointer {
    if count + size > capacity {
      let larger = max(capacity * 2, count + size)
      let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 4096)
      moved.copyMemory(from: base, byteCount: count)
      base.deallocate()
      base = moved
      capacity = larger
    }
    return UnsafeMutableRawBufferPointer(start: base + count, count: size)
  }
}

/// Builds one sealed object: header, frames, table, footer. Used by one thread at a time.
public final class SealedObjectBuilder {
  public let kind: ObjectKind
  public let name: ObjectName
  private let buffer: SealedBuffer
  private let header: [UInt8]
  private let key: SymmetricKey
  private let cipher: AESGCM
  private var entries = ByteWriter()
  private var fingerprints: [Fingerprint] = []
  public private(set) var frameCount: UInt32 = 0

  /// - Parameter buffer: Emptied first; it grows where the object outgrows it.
  public init(
    _ kind: ObjectKind, _ name: ObjectName, repository: RepositoryID, dataKey: DataKey, buffer: SealedBuffer
  ) throws {
    self.kind = kind
    self.name = name
    self.buffer = buffer
    // Drawn anew at each sealing: no key and nonce ever meet twice, also where a name is sealed again after a crash.
    let salt = try Random.bytes(32)
    header = SealedFormat.Header(kind: kind.rawValue, version: SealedFormat.version, key: dataKey.id, salt: salt).bytes
    key = try SealedFormat.key(dataKey, salt: salt, kind: kind, repository: repository, name: name)
    cipher = try AESGCM(key: key, for: .seal)
    buffer.count = 0
    buffer.append(header)
  }

  /// Bytes of the frames so far, sealed.
  var sealedFrameBytes: Int { buffer.count - SealedFormat.headerSize }

  /// Bytes of the object if it were finished now, at most.
  public var size: Int {
    let table = entries.bytes.count + fingerprints.count * 16
    return buffer.count + ZstdCompressor.bound(table) + AESGCM.tagSize + SealedFormat.footerSize
  }

  /// Whether a frame of this compressed length and so many slots still fits below the largest object and table.
  public func hasRoom(compressedLength: Int, slots: Int) -> Bool {
    frameCount == 0
      || size + compressedLength + AESGCM.tagSize + SealedFormat.tableEntrySize + slots * 16 + 64
        <= SealedFormat.maximumObject && fingerprints.count + slots <= SealedFormat.maximumSlots
  }

  /// Seals a compressed frame into the object.
  /// - Parameter fingerprints: One for each slot of a ``FrameRole/pages`` frame, else none.
  public func append(
    compressed: UnsafeRawBufferPointer, plainLength: Int, role: FrameRole,
    fingerprints pages: UnsafeBufferPointer<Fingerprint> = UnsafeBufferPointer(start: nil, count: 0)
  ) throws -> FrameLocation {
    let location = FrameLocation(
      number: frameCount, offset: UInt32(buffer.count), sealedLength: UInt32(compressed.count + AESGCM.tagSize),
      plainLength: UInt32(plainLength))
    let target = buffer.room(compressed.count + AESGCM.tagSize)
    try seal(compressed, nonce: UInt64(frameCount), associated: header, into: target)
    entries.append(location.offset)
    entries.append(location.sealedLength)
    entries.append(location.plainLength)
    entries.append(role.rawValue)
    entries.append(UInt8(pages.count))
    entries.append(UInt16(0))
    fingerprints.append(contentsOf: pages)
    frameCount += 1
    return location
  }

  /// Compresses and seals bytes as one frame.
  public func append(
    _ plain: UnsafeRawBufferPointer, role: FrameRole, with compressor: borrowing ZstdCompressor
  ) throws -> FrameLocation {
    // Compressed where it will lie, and encrypted in place.
    let room = buffer.room(ZstdCompressor.bound(plain.count) + AESGCM.tagSize)
    let count = try compressor.compress(plain, into: room)
    return try append(
      compressed: UnsafeRawBufferPointer(rebasing: room[..<count]), plainLength: plain.count, role: role)
  }

  /// Compresses and seals bytes as stream frames of at most 256 KiB.
  public func appendStream(_ bytes: UnsafeRawBufferPointer, with compressor: borrowing ZstdCompressor) throws {
    var position = 0
    while position < bytes.count {
      let end = min(position + SealedFormat.maximumFrame, bytes.count)
      _ = try append(UnsafeRawBufferPointer(rebasing: bytes[position..<end]), role: .stream, with: compressor)
      position = end
    }
  }

  /// Seals the table and closes the object.
  /// - Returns: The buffer given at the beginning, holding the whole object.
  public func finish() throws -> SealedBuffer {
    for fingerprint in fingerprints {
      entries.append(fingerprint.low)
      entries.append(fingerprint.high)
    }
    let plain = entries.bytes
    // The footer is authenticated with the table, whose sealed length it tells: compressed first, sealed after.
    let compressor = try ZstdCompressor(level: 1)
    let room = buffer.room(ZstdCompressor.bound(plain.count) + AESGCM.tagSize)
    let count = try plain.withUnsafeBytes { try compressor.compress($0, into: room) }
    let footer = SealedFormat.Footer(
      tableOffset: UInt64(buffer.count), tableSealedLength: UInt32(count + AESGCM.tagSize),
      tablePlainLength: UInt32(plain.count), frameCount: frameCount
    ).bytes
    try seal(
      UnsafeRawBufferPointer(rebasing: room[..<count]), nonce: SealedFormat.tableNonce, associated: header + footer,
      into: UnsafeMutableRawBufferPointer(rebasing: room[..<(count + AESGCM.tagSize)]))
    buffer.append(footer)
    return buffer
  }

  private func seal(
    _ bytes: UnsafeRawBufferPointer, nonce: UInt64, associated: [UInt8], into target: UnsafeMutableRawBufferPointer
  ) throws {
    try associated.withUnsafeBytes { try cipher.seal(bytes, nonce: nonce, associated: $0, into: target) }
    buffer.count += target.count
  }
}
