internal import BackupModel
internal import Checksums
internal import DurableFiles
internal import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// The page checksums of all relations of a restore, verified while its pages are in the processor's cache.
///
/// A page that does not fit is damaged, or was being written by the server when the backup read it. Replay writes the
/// latter anew; so those that did not fit are read again from the files of a server that has replayed and ended.
final class RestoredPages: Sendable {
  struct Suspect: Sendable, Hashable {
    /// On disk.
    var file: String
    /// As in the manifest.
    var path: String
    var page: UInt32
    var block: UInt32
  }
  private struct State {
    var pages = 0
    var suspects: [Suspect] = []
    var unlisted = 0
  }
  /// Pages that are written in the instant they are read are few. Where there are more, a disk is lost.
  private static let limit = 100_000
  private static let mostNamed = 5
  private static let pageSize = SealedFormat.slotSize
  private let state = Mutex(State())

  /// Called by several threads.
  /// - Parameters:
  ///   - bytes: Of consecutive pages. A relation that ends within a page has no checksum there.
  ///   - firstBlock: Of the file within its relation fork.
  func look(at bytes: UnsafeRawBufferPointer, of file: FileAssembly, firstPage: UInt32, firstBlock: UInt32) {
    let count = bytes.count / Self.pageSize
    var found: [UInt32] = []
    for index in 0..<count {
      let page = firstPage + UInt32(index)
      let start = index * Self.pageSize
      let one = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Self.pageSize)])
      if !Self.fits(one, block: firstBlock &+ page) { found.append(page) }
    }
    state.withLock { state in
      state.pages += count
      for page in found {
        guard state.suspects.count < Self.limit else {
          state.unlisted += 1
          continue
        }
        state.suspects.append(
          Suspect(file: file.path, path: file.entry.path, page: page, block: firstBlock &+ page))
      }
    }
  }

  /// Nothing is excused by its LSN: a page from after the backup's start has to fit in the end as well.
  private static func fits(_ page: UnsafeRawBufferPointer, block: UInt32) -> Bool {
    PageChecksum.verify(page, block: block, start: .max) != .differs
  }

  /// Whether ``judge()`` has to look at files that no server may be writing any more.
  var hasSuspects: Bool { state.withLock { !$0.suspects.isEmpty } }

  /// - Throws: `FileError`.
  func judge() throws -> CheckResult {
    let state = state.withLock { $0 }
    let damaged = try state.suspects.filter { try !isFine($0) }
    let count = damaged.count + state.unlisted
    let named = damaged.prefix(Self.mostNamed).map { "block \($0.block) of \"\($0.path)\"" }.joined(separator: ", ")
    return CheckResult(
      name: "page checksums", value: "\(state.pages)", verdict: count > 0 ? .critical : .ok,
      message: count > 0 ? "\(count) pages do not fit theirs, such as \(named)." : nil)
  }

  /// A file that replay dropped, or made shorter, has the page no longer.
  private func isFine(_ suspect: Suspect) throws -> Bool {
    guard DurableFile.exists(suspect.file) else { return true }
    let file = try Descriptor(opening: suspect.file, O_RDONLY)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pageSize, alignment: 8)
    defer { buffer.deallocate() }
    let count = try file.readAll(into: buffer, at: Int64(suspect.page) * Int64(Self.pageSize))
    return count < Self.pageSize || Self.fits(UnsafeRawBufferPointer(buffer), block: suspect.block)
  }
}
