internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A file of the running cluster, read in place; shared by the workers that read it.
final class SourceFile: Sendable {
  /// What several workers take of a large file in turn.
  static let rangeSize = 4 << 20

  let path: String
  private let file: Descriptor

  private init(_ path: String, _ file: consuming Descriptor) {
    self.path = path
    self.file = file
  }

  /// Nil where the file vanished: it was dropped meanwhile, and replay drops it again.
  /// - Throws: `FileError`.
  static func open(_ path: String) throws -> SourceFile? {
    do {
      // Links were seen by lstat: what is one now was not one then.
      return SourceFile(path, try Descriptor(opening: path, O_RDONLY | O_NOFOLLOW))
    } catch {
      if error.isMissing { return nil }
      throw error
    }
  }

  func size() throws(FileError) -> UInt64 { UInt64(try file.size()) }

  /// Fills the buffer. What a truncation took away meanwhile is zeros, as in PostgreSQL's own base backup: replay
  /// truncates again.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) {
    let count = try file.readAll(into: buffer, at: Int64(offset))
    if count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  /// Pages of a range that the page cache holds: what is not there is not the server's to keep.
  ///
  /// The mapping is never touched, so a truncation cannot hurt.
  func residency(from offset: UInt64, length: Int) -> Residency? {
    guard length > 0, let memory = mmap(nil, length, PROT_READ, MAP_SHARED, file.number, off_t(offset)),
      memory != MAP_FAILED
    else { return nil }
    defer { munmap(memory, length) }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    var resident = [UInt8](repeating: 0, count: (length + page - 1) / page)
    guard mincore(memory, length, &resident) == 0 else { return nil }
    return Residency(offset: offset, pageSize: page, resident: resident)
  }

  /// Which pages of the page cache were there before we read.
  struct Residency {
    var offset: UInt64
    var pageSize: Int
    var resident: [UInt8]
  }

  /// Hands back what our reading brought into the page cache, and nothing else.
  func handBack(_ before: Residency) {
    var start: Int?
    func drop(_ first: Int, _ end: Int) {
      posix_fadvise(
        file.number, off_t(before.offset) + off_t(first * before.pageSize), off_t((end - first) * before.pageSize),
        POSIX_FADV_DONTNEED)
    }
    for index in before.resident.indices {
      let isOurs = before.resident[index] & 1 == 0
      if isOurs, start == nil { start = index }
      if !isOurs, let first = start {
        drop(first, index)
        start = nil
      }
    }
    if let first = start { drop(first, before.resident.count) }
  }
}
