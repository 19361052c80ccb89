/// A set of page numbers of one file: a bit each.
struct PageSet: Sendable {
  private var words: [UInt64] = []

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
  var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
  /// The highest page number, plus one.
  var end: UInt32 {
    for index in words.indices.reversed() where words[index] != 0 {
      return UInt32(index * 64 + 64 - words[index].leadingZeroBitCount)
    }
    return 0
  }

  func contains(_ page: UInt32) -> Bool {
    let word = Int(page >> 6)
    return word < words.count && words[word] & (1 << UInt64(page & 63)) != 0
  }

  mutating func insert(_ first: UInt32, count: UInt32 = 1) {
    guard count > 0 else { return }
    let last = Int((first + count - 1) >> 6)
    if last >= words.count { words.append(contentsOf: repeatElement(0, count: last + 1 - words.count)) }
    for page in first..<(first + count) { words[Int(page >> 6)] |= 1 << UInt64(page & 63) }
  }

  mutating func remove(_ first: UInt32, count: UInt32) {
    for page in first..<(first + count) where Int(page >> 6) < words.count {
      words[Int(page >> 6)] &= ~(1 << UInt64(page & 63))
    }
  }

  /// Hands out maximal ranges of members within `first ..< first + count`, in order.
  func forEachRange(from first: UInt32, count: UInt32, _ body: (UInt32, UInt32) -> Void) {
    var start: UInt32?
    var page = first
    let end = first + count
    while page < end {
      let word = Int(page >> 6)
      let bits = word < words.count ? words[word] : 0
      // Whole words at once: most are all or nothing.
      if page & 63 == 0, end - page >= 64, bits == 0 || bits == .max {
        if bits == 0, let begun = start {
          body(begun, page - begun)
          start = nil
        } else if bits == .max, start == nil {
          start = page
        }
        page += 64
        continue
      }
      let isMember = bits & (1 << UInt64(page & 63)) != 0
      if isMember, start == nil { start = page }
      if !isMember, let begun = start {
        body(begun, page - begun)
        start = nil
      }
      page += 1
    }
    if let begun = start { body(begun, end - begun) }
  }
}
