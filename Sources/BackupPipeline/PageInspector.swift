internal import BackupModel
internal import Checksums
internal import Postgres
internal import Repository
import Synchronization

/// Verifies the checksums of changed pages as frames pass, and remembers what did not fit.
///
/// An unchanged page was verified when it was stored.
final class PageInspector: ChangedPageCheck {
  struct Suspect: Sendable, Hashable {
    var path: String
    var page: UInt32
    var block: UInt32
  }
  /// More than this are counted, not listed: the disk is lost anyway.
  static let limit = 10_000

  private let start: UInt64
  private let state = Mutex<(suspects: [Suspect], count: Int)>(([], 0))

  /// - Parameter start: The backup's start LSN.
  init(start: LSN) { self.start = start.value }

  func check(_ frame: PageFrame, _ piece: PageFrame.Piece, _ index: Int) -> ChangedPageVerdict {
    guard let firstBlock = piece.firstBlock else { return .asRead }
    let block = firstBlock &+ UInt32(index)
    if !fits(UnsafeRawBufferPointer(frame.slot(piece.slot + index)), block: block) {
      note(Suspect(path: piece.path, page: piece.firstPage + UInt32(index), block: block))
    }
    return .asRead
  }

  /// Whether a page can be what the server wrote: its checksum is right, or replay writes it again.
  func fits(_ page: UnsafeRawBufferPointer, block: UInt32) -> Bool {
    PageChecksum.verify(page, block: block, start: start) != .differs
  }

  func note(_ suspect: Suspect) {
    state.withLock { state in
      state.count += 1
      if state.suspects.count < Self.limit { state.suspects.append(suspect) }
    }
  }

  /// Suspects found, and how many more there were.
  var found: (suspects: [Suspect], unlisted: Int) {
    state.withLock { ($0.suspects, $0.count - $0.suspects.count) }
  }

  /// Reads suspects again through the server: a page that was being written when it was first read is whole now.
  /// - Returns: Pages that do not fit in any of three readings.
  func confirm(with connection: Connection) throws -> [DamagedPage] {
    var left = found.suspects
    for reading in 0..<3 where !left.isEmpty {
      // One pause for all of them: a pause for each would take hours where a disk is lost.
      if reading > 0 { try connection.cancellation.sleep(.milliseconds(100)) }
      left = try left.filter { try !isFine($0, connection) }
    }
    return left.map { DamagedPage(path: $0.path, block: $0.block) }
      .sorted { ($0.path, $0.block) < ($1.path, $1.block) }
  }

  private func isFine(_ suspect: Suspect, _ connection: Connection) throws -> Bool {
    let offset = Int64(suspect.page) * Int64(SealedFormat.slotSize)
    // A file or page that is gone was dropped or truncated: replay does the same.
    guard let bytes = try connection.readRelationPage(path: suspect.path, offset: offset) else {
      return try !isThere(suspect.path, connection)
    }
    guard bytes.count == SealedFormat.slotSize else { return true }
    return bytes.withUnsafeBytes { PageChecksum.verify($0, block: suspect.block, start: start) } != .differs
  }

  /// Nil pages also come back where the role may not read files; then the page stays suspect.
  private func isThere(_ path: String, _ connection: Connection) throws -> Bool {
    do {
      return try connection.query("SELECT size FROM pg_stat_file($1, true)", [path]).scalar != nil
    } catch PostgresError.refused {
      return true
    }
  }
}
