internal import BackupModel
internal import BlockingWork
internal import Checksums
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Reads every relation file of a data directory whose server is down and verifies the checksum of each page.
struct PageSweep {
  private static let pageSize = 8192
  private static let pagesPerRead = 128
  private static let mostNamed = 5

  private(set) var pages = 0
  private(set) var damaged = 0
  private var named: [String] = []

  init(_ dataDirectory: String, _ cancellation: Cancellation, observe: (Int) -> Void) throws {
    for top in ["base", "global", "pg_tblspc"] { try walk(dataDirectory, top, cancellation, observe) }
  }

  var result: CheckResult {
    CheckResult(
      name: "page checksums", value: "\(pages)", verdict: damaged > 0 ? .critical : .ok,
      message: damaged > 0 ? "\(damaged) pages do not fit theirs, such as \(named.joined(separator: ", "))." : nil)
  }

  private mutating func walk(
    _ root: String, _ path: String, _ cancellation: Cancellation, _ observe: (Int) -> Void
  ) throws {
    for name in try DurableFile.names(in: root + "/" + path) {
      let inner = path + "/" + name
      var status = stat()
      // Followed: tablespaces are links.
      guard stat(root + "/" + inner, &status) == 0 else { throw FileError.last("look at", root + "/" + inner) }
      if status.st_mode & S_IFMT == S_IFDIR {
        // Sort and hash files of sessions that are gone.
        if name != "pgsql_tmp" { try walk(root, inner, cancellation, observe) }
      } else if let first = RelationFile.firstBlock(inner) {
        try read(root, inner, first, cancellation)
        observe(pages)
      }
    }
  }

  private mutating func read(_ root: String, _ path: String, _ first: UInt32, _ cancellation: Cancellation) throws {
    let file = try Descriptor(opening: root + "/" + path, O_RDONLY)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pageSize * Self.pagesPerRead, alignment: 4096)
    defer { buffer.deallocate() }
    var block = first
    while true {
      try cancellation.check()
      let count = try file.readAll(into: buffer, at: Int64(block - first) * Int64(Self.pageSize))
      for index in 0..<(count / Self.pageSize) {
        let page = UnsafeRawBufferPointer(rebasing: buffer[(index * Self.pageSize)..<((index + 1) * Self.pageSize)])
        // Nothing is being written any more: a page from after the backup has to fit as well.
        if PageChecksum.verify(page, block: block + UInt32(index), start: .max) == .differs { note(path, block, index) }
      }
      pages += count / Self.pageSize
      block += UInt32(count / Self.pageSize)
      if count < buffer.count { return }
    }
  }

  private mutating func note(_ path: String, _ block: UInt32, _ index: Int) {
    damaged += 1
    if named.count < Self.mostNamed { named.append("block \(block + UInt32(index)) of \"\(path)\"") }
  }
}
