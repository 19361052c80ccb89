internal import BackupModel

/// One entry of a manifest.
public struct ManifestFile: Sendable, Hashable {
  public enum Kind: UInt8, Sendable {
    case file = 1
    case directory = 2
    /// A tablespace's link below `pg_tblspc`; content is the target.
    case symlink = 3
    /// A configuration file outside the data directory; the path is absolute.
    case configuration = 4
    /// A part of a stream of a logical backup, `<stream>/<number>`; its map is a ``PieceMap``.
    case streamPart = 5
  }
  /// Relative to the data directory; files of a tablespace are below `pg_tblspc/<oid>/`.
  public var path: String
  public var kind: Kind
  /// Permission bits.
  public var mode: UInt16
  /// Modification time, seconds since 1970.
  public var modified: Int64
  public var size: UInt64
  /// CRC-32C of the whole content: a restore is proven independently of page maps.
  public var checksum: UInt32
  public var linkTarget: String?
  /// Nil for an empty file, and for everything that is not one.
  public var pageMap: PageMapReference?

  public init(
    path: String, kind: Kind, mode: UInt16, modified: Int64, size: UInt64 = 0, checksum: UInt32 = 0,
    linkTarget: String? = nil, pageMap: PageMapReference? = nil
  ) {
    self.path = path
    self.kind = kind
    self.mode = mode
    self.modified = modified
    self.size = size
    self.checksum = checksum
    self.linkTarget = linkTarget
    self.pageMap = pageMap
  }

  /// Pages of 8 KiB the content takes, the last perhaps short.
  public var pages: UInt64 { (size + UInt64(SealedFormat.slotSize) - 1) / UInt64(SealedFormat.slotSize) }

  /// Length of path (u16), path, kind (u8), 0 (u8), mode (u16), modified (i64), size (u64), checksum (u32), length of
  /// link target (u16), link target, length of page map (u32) and, where that is not 0: metadata pack (16 bytes),
  /// frame (u32), offset (u32).
  func encode(into writer: inout ByteWriter) {
    let path = Array(path.utf8)
    writer.append(UInt16(path.count))
    writer.append(path)
    writer.append(kind.rawValue)
    writer.append(UInt8(0))
    writer.append(mode)
    writer.append(modified)
    writer.append(size)
    writer.append(checksum)
    let target = Array((linkTarget ?? "").utf8)
    writer.append(UInt16(target.count))
    writer.append(target)
    writer.append(pageMap?.length ?? 0)
    if let pageMap {
      writer.append(bigEndian: pageMap.metadataPack)
      writer.append(pageMap.frame)
      writer.append(pageMap.offset)
    }
  }

  init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
    let what = "a file entry"
    path = String(decoding: try reader.take(Int(try reader.integer(what, as: UInt16.self)), what), as: UTF8.self)
    guard let kind = Kind(rawValue: try reader.integer(what)) else {
      throw ByteReader.Malformed(what: "an entry of unknown kind")
    }
    self.kind = kind
    let _: UInt8 = try reader.integer(what)
    mode = try reader.integer(what)
    modified = try reader.integer(what)
    size = try reader.integer(what)
    checksum = try reader.integer(what)
    let target = try reader.take(Int(try reader.integer(what, as: UInt16.self)), what)
    linkTarget = kind == .symlink ? String(decoding: target, as: UTF8.self) : nil
    let length: UInt32 = try reader.integer(what)
    if length > 0 {
      pageMap = PageMapReference(
        metadataPack: try reader.id(what), frame: try reader.integer(what), offset: try reader.integer(what),
        length: length)
    }
    guard Self.isSafe(path, kind) else { throw ByteReader.Malformed(what: "a path that leads elsewhere") }
    // 2^32 pages of 8 KiB is what a page map can number.
    guard size < 1 << 45 else { throw ByteReader.Malformed(what: "a file larger than a page map can describe") }
  }

  /// Whether a reader will accept the entry: what it would refuse is not written.
  var isReadable: Bool {
    let longest = Int(UInt16.max)
    return Self.isSafe(path, kind) && path.utf8.count <= longest && (linkTarget ?? "").utf8.count <= longest
      && size < 1 << 45
  }

  /// A path that stays below the data directory; of a configuration file, an absolute one.
  static func isSafe(_ path: String, _ kind: Kind) -> Bool {
    var parts = path.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
    if kind == .configuration {
      guard parts.first?.isEmpty == true, parts.count > 1 else { return false }
      parts.removeFirst()
    }
    return !path.utf8.contains(0)
      && parts.allSatisfy { !$0.isEmpty && !$0.elementsEqual([0x2E]) && !$0.elementsEqual([0x2E, 0x2E]) }
  }
}
