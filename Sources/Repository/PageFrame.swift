/// Up to 32 slots of 8 KiB on their way from a reader to a worker.
///
/// - Note: `@unchecked Sendable`: handed from one owner to the next through a ring, never used by two at once.
public final class PageFrame: @unchecked Sendable {
  /// Consecutive pages of one file in consecutive slots.
  public struct Piece: Sendable {
    /// The number that ``BackupWriter/beginFile(_:)`` gave.
    public var file: Int
    /// Its path, for messages.
    public var path: String
    public var firstPage: UInt32
    public var slot: Int
    public var count: Int
    /// Of a relation fork: the block number of the first page. Nil where pages carry no checksum.
    public var firstBlock: UInt32?
    /// Bytes of content: the last page may be short, and is padded with zeros in its slot.
    public var byteCount: Int
    /// Whether the worker computes the checksum of these bytes.
    public var checksums: Bool
    public init(
      file: Int, path: String, firstPage: UInt32, slot: Int, count: Int, byteCount: Int, firstBlock: UInt32?,
      checksums: Bool = false
    ) {
      self.file = file
      self.path = path
      self.firstPage = firstPage
      self.slot = slot
      self.count = count
      self.byteCount = byteCount
      self.firstBlock = firstBlock
      self.checksums = checksums
    }
  }

  public let base: UnsafeMutableRawPointer
  public var slots = 0
  public var pieces: [Piece] = []

  public init() {
    base = .allocate(byteCount: SealedFormat.maximumFrame, alignment: 4096)
  }
  deinit { base.deallocate() }

  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: slots * SealedFormat.slotSize)
  }
  /// The bytes of one slot.
  public func slot(_ number: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + number * SealedFormat.slotSize, count: SealedFormat.slotSize)
  }
  public var isFull: Bool { slots == SealedFormat.slotsPerFrame }

  public func clear() {
    slots = 0
    pieces.removeAll(keepingCapacity: true)
  }
}
