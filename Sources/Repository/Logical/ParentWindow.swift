internal import BackupModel
internal import Cryptography

/// Looks for the pieces of one stream among those of the parent, along the order they have there. Used by one thread.
///
/// Nearly every piece that did not change follows the one found last. Others are looked for in the parts around that one,
/// as many as its share of memory allows, so that memory is the same for a dump of any size. What moved further, to another
/// stream for instance, is found by one piece in so many, of which the parent's samples know the part; until the first of
/// those, pieces that moved are stored anew.
final class ParentWindow {
  struct Found {
    var pack: PackID
    var location: FrameLocation
    var offset: UInt32
    /// Its frame is mostly dead.
    var isSparse: Bool
  }

  /// Bytes that the windows of all streams take together: ten parts of 256 MiB.
  static let memory = 52 << 20
  private static let partsBefore = 3
  private static let partsBehind = 6
  /// A frame of which less than a quarter is in use is not kept for that quarter's sake.
  private static let sparseShare = 4

  private let parent: ParentPieces
  private let memory: Int
  private var parts: [Int: ParentPieces.Part] = [:]
  /// The piece found last.
  private var cursor: (part: Int, piece: Int) = (0, -1)
  private var centre = -1

  init(_ parent: ParentPieces, memory: Int) {
    self.parent = parent
    self.memory = memory
  }

  /// Where a piece lies that every store has; nil where it is to be stored.
  func find(_ fingerprint: Fingerprint, length: UInt32) -> Found? {
    guard let place = locate(fingerprint, length) else { return nil }
    cursor = place
    let part = parts[place.part]!
    let piece = part.pieces[place.piece]
    let frame = part.frames[Int(piece.frame)]
    guard parent.holds(frame) else { return nil }
    return Found(
      pack: parent.packs[Int(frame.pack)].id, location: frame.location, offset: piece.offset,
      isSparse: Int(frame.live) * Self.sparseShare < Int(frame.location.plainLength))
  }

  private func locate(_ fingerprint: Fingerprint, _ length: UInt32) -> (part: Int, piece: Int)? {
    moveWindow()
    if let next = follower(), case let piece = parts[next.part]!.pieces[next.piece],
      piece.fingerprint == fingerprint, piece.length == length
    {
      return next
    }
    // Nearest first: what moved did not move far, as a rule.
    for distance in 0...Self.partsBehind {
      for number in Set([cursor.part + distance, cursor.part - distance]) {
        if let index = parts[number]?.find(fingerprint, length) { return (number, index) }
      }
    }
    return elsewhere(fingerprint, length)
  }

  /// The piece behind the one found last.
  private func follower() -> (part: Int, piece: Int)? {
    if let part = parts[cursor.part], cursor.piece + 1 < part.pieces.count { return (cursor.part, cursor.piece + 1) }
    if let part = parts[cursor.part + 1], !part.pieces.isEmpty { return (cursor.part + 1, 0) }
    return nil
  }

  /// Outside the window, which is moved there once the piece is found there.
  private func elsewhere(_ fingerprint: Fingerprint, _ length: UInt32) -> (part: Int, piece: Int)? {
    guard let number = parent.samples.block(of: fingerprint), parts[number] == nil else { return nil }
    let part = parent.load(number)
    guard let index = part.find(fingerprint, length) else { return nil }
    parts[number] = part
    return (number, index)
  }

  private func moveWindow() {
    guard centre != cursor.part else { return }
    centre = cursor.part
    var wanted: Set<Int> = []
    var bytes = 0
    for distance in 0...Self.partsBehind {
      for number in Set([centre + distance, centre - distance]).sorted(by: >)
      where parent.blocks.indices.contains(number) && centre - number <= Self.partsBefore {
        bytes += parent.blocks[number].memory
        if bytes <= memory || number == centre { wanted.insert(number) }
      }
    }
    parts = parts.filter { wanted.contains($0.key) }
    for number in wanted where parts[number] == nil { parts[number] = parent.load(number) }
  }
}
