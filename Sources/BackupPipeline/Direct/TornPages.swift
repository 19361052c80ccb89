internal import BlockingWork
internal import Checksums
internal import Repository

/// Looks at changed pages of files read in place: a page caught half written is read again at once.
///
/// One per worker. - Note: `@unchecked Sendable`: used by its worker's thread alone.
final class TornPages: ChangedPageCheck, @unchecked Sendable {
  /// A write of 8 KiB takes microseconds; what is still torn after these is damaged.
  private static let pauses: [Duration] = [.zero, .milliseconds(1), .milliseconds(10), .milliseconds(50)]

  private let inspector: PageInspector
  private let cancellation: Cancellation
  /// What the frame at hand was read from.
  var source: SourceFile?

  init(_ inspector: PageInspector, _ cancellation: Cancellation) {
    self.inspector = inspector
    self.cancellation = cancellation
  }

  func check(_ frame: PageFrame, _ piece: PageFrame.Piece, _ index: Int) throws -> ChangedPageVerdict {
    guard let firstBlock = piece.firstBlock else { return .asRead }
    let slot = frame.slot(piece.slot + index)
    let page = piece.firstPage + UInt32(index)
    let block = firstBlock &+ UInt32(index)
    if inspector.fits(UnsafeRawBufferPointer(slot), block: block) { return .asRead }
    guard let source else { return .asRead }
    for pause in Self.pauses {
      if pause > .zero { try cancellation.sleep(pause) }
      try source.read(into: slot, at: UInt64(page) * UInt64(SealedFormat.slotSize))
      if inspector.fits(UnsafeRawBufferPointer(slot), block: block) { return .readAgain }
    }
    inspector.note(.init(path: piece.path, page: page, block: block))
    return .readAgain
  }
}
