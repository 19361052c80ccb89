public import BackupModel

/// A run of bytes of an open segment, as the object's last name component says it: `<first>-<end>`.
public struct WALSlice: Sendable, Hashable {
  public var first: LSN
  public var end: LSN

  public init(first: LSN, end: LSN) {
    self.first = first
    self.end = end
  }

  /// Nil where the text is not two rising positions of 16 upper-case hexadecimal digits.
  public init?(component: String) {
    let parts = component.split(separator: "-", omittingEmptySubsequences: false)
    func isHex(_ part: Substring) -> Bool {
      part.utf8.count == 16 && part.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }
    }
    guard parts.count == 2, isHex(parts[0]), isHex(parts[1]), let first = UInt64(parts[0], radix: 16),
      let end = UInt64(parts[1], radix: 16), first < end
    else { return nil }
    self.init(first: LSN(first), end: LSN(end))
  }

  /// The slices that lead from `start` as far as possible without a hole; they may overlap.
  public static func chain(_ slices: some Collection<WALSlice>, from start: LSN) -> [WALSlice] {
    var chain: [WALSlice] = []
    var position = start
    let sorted = slices.sorted { ($0.first, $0.end) < ($1.first, $1.end) }
    var next = 0
    while true {
      var best: WALSlice?
      while next < sorted.count, sorted[next].first <= position {
        if sorted[next].end > (best?.end ?? position) { best = sorted[next] }
        next += 1
      }
      guard let best else { return chain }
      chain.append(best)
      position = best.end
    }
  }
}
