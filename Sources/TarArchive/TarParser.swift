/// Takes a tar stream apart as it comes, whatever the pieces it comes in. Memory: a header, and up to 1 MiB for names.
///
/// Knows ustar with prefixes, base-256 numbers, GNU's long names and pax headers. Paths that could leave the archive,
/// hard links and devices are refused. That a path comes only once is for the caller to see to.
public struct TarParser {
  private enum State {
    case header
    case content(left: Int64)
    case padding(left: Int64)
    /// The content of an extension, collected.
    case extended(type: UInt8, left: Int64)
    case secondZeroBlock
    case end
    case failed(any Error)
  }

  /// Larger names or extended headers are refused.
  private static let extensionLimit: Int64 = 1 << 20

  private let archive: String
  private var state = State.header
  private var block: [UInt8] = []
  private var collected: [UInt8] = []
  private var offset: Int64 = 0
  private var member: TarMember?
  private var memberOffset: Int64 = 0
  private var general = TarOverrides()
  private var specific = TarOverrides()

  /// - Parameter archive: What errors call it, such as `base.tar`.
  public init(archive: String) {
    self.archive = archive
    block.reserveCapacity(TarHeader.size)
  }

  /// Takes the next bytes of the stream, any number of them.
  ///
  /// - Parameter body: Gets what is found; data are slices of `bytes`.
  /// - Throws: ``TarError``, and what `body` throws; the same again at every later call.
  public mutating func consume(_ bytes: UnsafeRawBufferPointer, _ body: (TarEvent) throws -> Void) throws {
    if case .failed(let error) = state { throw error }
    do {
      var rest = bytes
      while !rest.isEmpty {
        let taken = try step(rest, body)
        offset &+= Int64(taken)
        rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        try settle(body)
      }
    } catch {
      state = .failed(error)
      throw error
    }
  }

  /// Says that the stream has ended.
  /// - Throws: ``TarError`` where it ended in the middle of something or without both zero blocks.
  public mutating func finish() throws {
    switch state {
    case .failed(let error): throw error
    case .end: return
    case .header where block.isEmpty: throw TarError.endMissing(place(nil))
    case .secondZeroBlock: throw TarError.endMissing(place(nil))
    case .header: throw TarError.truncated(place(nil))
    case .content, .padding, .extended: throw TarError.truncated(place(member?.path, memberOffset))
    }
  }

  /// Consumes a first piece of `bytes` (never empty) that belongs to the current state, and returns its length.
  private mutating func step(_ bytes: UnsafeRawBufferPointer, _ body: (TarEvent) throws -> Void) throws -> Int {
    switch state {
    case .failed(let error): throw error
    case .end:
      // GNU tar fills its last record of 10 KiB with zeros.
      guard bytes.allSatisfy({ $0 == 0 }) else { throw TarError.dataAfterEnd(place(nil)) }
      return bytes.count
    case .header, .secondZeroBlock:
      let count = min(bytes.count, TarHeader.size - block.count)
      block.append(contentsOf: bytes[..<count])
      return count
    case .content(let left):
      let count = Int(min(Int64(bytes.count), left))
      try body(.data(UnsafeRawBufferPointer(rebasing: bytes[..<count])))
      state = .content(left: left - Int64(count))
      return count
    case .padding(let left):
      let count = Int(min(Int64(bytes.count), left))
      state = .padding(left: left - Int64(count))
      return count
    case .extended(let type, let left):
      let count = Int(min(Int64(bytes.count), left))
      collected.append(contentsOf: bytes[..<count])
      state = .extended(type: type, left: left - Int64(count))
      return count
    }
  }

  /// Moves on from whatever is complete now.
  private mutating func settle(_ body: (TarEvent) throws -> Void) throws {
    switch state {
    case .header where block.count == TarHeader.size:
      let header = TarHeader(bytes: block)
      block.removeAll(keepingCapacity: true)
      if header.bytes.allSatisfy({ $0 == 0 }) {
        state = .secondZeroBlock
      } else {
        try begin(header, body)
      }
    case .secondZeroBlock where block.count == TarHeader.size:
      guard block.allSatisfy({ $0 == 0 }) else { throw TarError.endMissing(place(nil, offset - 512)) }
      state = .end
    case .content(0): try endMember(body)
    case .padding(0): state = .header
    case .extended(let type, 0): try endExtension(type)
    default: break
    }
  }

  private mutating func begin(_ header: TarHeader, _ body: (TarEvent) throws -> Void) throws {
    memberOffset = offset - Int64(TarHeader.size)
    guard header.isChecksumRight else { throw TarError.headerDamaged(place(nil, memberOffset)) }
    switch header.type {
    case UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "x"), UInt8(ascii: "g"):
      let here = place(nil, memberOffset)
      guard let size = header.contentSize, (1...Self.extensionLimit).contains(size) else {
        throw TarError.fieldInvalid(here, field: "size")
      }
      member = nil
      collected.removeAll(keepingCapacity: true)
      state = .extended(type: header.type, left: size)
    default:
      let overrides = specific.over(general)
      specific = TarOverrides()
      let member = try self.member(header, overrides, place(nil, memberOffset))
      self.member = member
      try body(.member(member))
      if member.size == 0 { try endMember(body) } else { state = .content(left: member.size) }
    }
  }

  private mutating func endMember(_ body: (TarEvent) throws -> Void) throws {
    try body(.memberEnd)
    pad(after: member?.size ?? 0)
  }

  private mutating func pad(after size: Int64) {
    let rest = size % Int64(TarHeader.size)
    state = rest == 0 ? .header : .padding(left: Int64(TarHeader.size) - rest)
  }

  private mutating func endExtension(_ type: UInt8) throws {
    var wrong: String?
    switch type {
    case UInt8(ascii: "L"): specific.path = Array(collected.prefix { $0 != 0 })
    case UInt8(ascii: "K"): specific.linkPath = Array(collected.prefix { $0 != 0 })
    case UInt8(ascii: "x"): wrong = specific.read(paxRecords: collected)
    default: wrong = general.read(paxRecords: collected)
    }
    if let wrong { throw TarError.extensionInvalid(place(nil, memberOffset), reason: wrong) }
    pad(after: Int64(collected.count))
  }

  private func place(_ member: String?, _ offset: Int64? = nil) -> TarPlace {
    TarPlace(archive: archive, member: member, offset: offset ?? self.offset)
  }
}
