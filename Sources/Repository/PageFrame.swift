/// Up to 32 slots of 8 KiB on their way from a reader to a worker.
///
/// - Note: `@unchecked Sendable`: handed from one owner to the next through a ring, never used by two at once.
public final class PageFrame: @unchecked Sendable {
  /// Consecutive pages of one file in consecutive slots.
  public struct Piece: Sendable {
    /// The number that ``BackupWriter/beginFile()`` gave.
    public var file: Int
    /// Its path, for messages.
    public var path: String
    public var firstPage: UInt32
    public var slot: Int
    public var count: Int
    /// Of a relation fork: the block number of the first page. Nil where pages carry no checksum.
    public var firstBlock: UInt32?
    /// The last page ends before 8 KiB and is padded.
    public var lastIsShort = false
    public init(file: Int, path: String, firstPage: UInt32, slot: Int, count: Int, firstBlock: UInt32?) {
      self.file = file
      self.path = path
      self.firstPage = firstPage
      self.slot = slot
      self.count = count
      self.firstBlock = firstBlock
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
  public var isFull: Bool { slots == SealedFormat.slotsPerFrame }

  public func clear() {
    slots = 0
    pieces.removeAll(keepingCapacity: true)
  }
}
