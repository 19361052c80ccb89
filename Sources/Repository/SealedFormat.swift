internal import BackupModel
internal import Cryptography
internal import KeyManagement
internal import Storage

/// What a sealed object is. Part of the key derivation: an object of one kind does not open as another.
public enum ObjectKind: UInt16, Sendable {
  /// Frames of pages.
  case pack = 1
  /// Page maps, and manifest parts.
  case metadata = 2
  case manifest = 3
  case checkpoint = 4
  case walSegment = 5
  case walSlice = 6
  case timelineHistory = 7

  var text: String {
    switch self {
    case .pack: "pack"
    case .metadata: "metadata"
    case .manifest: "manifest"
    case .checkpoint: "checkpoint"
    case .walSegment: "wal-segment"
    case .walSlice: "wal-slice"
    case .timelineHistory: "timeline-history"
    }
  }
}

/// What a frame holds.
public enum FrameRole: UInt8, Sendable {
  /// Slots of 8 KiB, with a fingerprint each.
  case pages = 1
  /// Bytes of a stream, in the order of frame numbers.
  case stream = 2
  /// The header of a manifest: JSON.
  case header = 3
  /// The index of a WAL segment or slice.
  case index = 4
}

/// Where a frame lies in its object.
public struct FrameLocation: Sendable, Hashable {
  /// Its number in the object, from 0: also its nonce.
  public var number: UInt32
  /// From the object's first byte.
  public var offset: UInt32
  public var sealedLength: UInt32
  public var plainLength: UInt32
}

/// The numbers of the sealed container; `docs/architecture/repository-format.md` is the specification.
public enum SealedFormat {
  public static let version: UInt16 = 1
  public static let headerSize = 64
  public static let footerSize = 32
  public static let maximumFrame = 256 << 10
  public static let slotSize = 8192
  public static let slotsPerFrame = maximumFrame / slotSize
  /// Objects made of several frames are closed before they pass this.
  public static let maximumObject = 32 << 20
  /// More pages than this a pack does not hold, however well they compress: its table stays small.
  public static let maximumSlots = 65536

  static let magic = Array("BACKUPD\u{0}".utf8)
  static let footerMagic = Array("BKPDTAIL".utf8)
  static let tableEntrySize = 16
  /// The table's nonce: no frame has this number.
  static let tableNonce: UInt64 = 0xFFFF_FFFF
  /// Refuse a table whose plain length claims more: nothing we write comes near it.
  static let maximumTable = 64 << 20

  /// The key of one object. The name, kind and place are in it, so that bytes moved elsewhere do not open.
  static func key(
    _ dataKey: DataKey, salt: [UInt8], kind: ObjectKind, repository: RepositoryID, name: ObjectName
  ) throws(CryptographyError) -> SymmetricKey {
    // The object's name begins with cluster and lineage.
    try dataKey.key.derive(salt: salt, info: "backupd object \(kind.text) \(repository) \(name)")
  }

  /// The plain 64 bytes at the beginning of a sealed object.
  struct Header {
    var kind: UInt16
    var version: UInt16
    var key: KeyID
    var salt: [UInt8]

    var bytes: [UInt8] {
      var writer = ByteWriter()
      writer.append(magic)
      writer.append(version)
      writer.append(kind)
      writer.append(UInt32(0))
      writer.append(bigEndian: key)
      writer.append(salt)
      return writer.bytes
    }
  }

  /// The plain 32 bytes at the end of a sealed object.
  struct Footer {
    var tableOffset: UInt64
    var tableSealedLength: UInt32
    var tablePlainLength: UInt32
    var frameCount: UInt32

    var bytes: [UInt8] {
      var writer = ByteWriter()
      writer.append(tableOffset)
      writer.append(tableSealedLength)
      writer.append(tablePlainLength)
      writer.append(frameCount)
      writer.append(UInt32(0))
      writer.append(footerMagic)
      return writer.bytes
    }
  }
}
