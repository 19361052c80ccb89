import FoundationEssentials
import Glibc
import TestSupport

/// The relation files of a server as they lie on its disk, page by page: what a backup has to find changed, known from
/// elsewhere.
///
/// Only what is in the data directory counts, not tablespaces. Nobody may be writing meanwhile.
struct ChangedPages {
  /// A hash of every page, by file.
  private var hashes: [String: [Int]] = [:]

  struct Found {
    var pages: Int
    /// What `zstd -1` makes of them, one after another: the least that storing them can take, about.
    var compressedBytes: Int
  }

  /// The pages that changed since this was asked last; all of them the first time.
  mutating func next(_ server: PostgresServer) throws -> Found {
    try TemporaryDirectory.run { directory in
      let path = directory + "/pages"
      guard let output = fopen(path, "w") else { throw EndToEndError.unexpected("cannot write \"\(path)\"") }
      var found: [String: [Int]] = [:]
      var pages = 0
      for part in ["base", "global"] {
        for name in try FileManager.default.subpathsOfDirectory(atPath: "\(server.dataDirectory)/\(part)") {
          let file = "\(server.dataDirectory)/\(part)/\(name)"
          let known = hashes[file] ?? []
          var own: [Int] = []
          Self.forEachPage(of: file) { page in
            var hasher = Hasher()
            hasher.combine(bytes: page)
            let hash = hasher.finalize()
            if own.count >= known.count || known[own.count] != hash {
              fwrite(page.baseAddress, 1, page.count, output)
              pages += 1
            }
            own.append(hash)
          }
          found[file] = own
        }
      }
      hashes = found
      guard fclose(output) == 0 else { throw EndToEndError.unexpected("cannot write \"\(path)\"") }
      let count = try Program.succeed("/bin/sh", ["-c", "zstd -q -1 -c \"$1\" | wc -c", "sh", path])
      return Found(pages: pages, compressedBytes: Int(count.prefix { $0.isNumber }) ?? 0)
    }
  }

  private static func forEachPage(of path: String, _ body: (UnsafeRawBufferPointer) -> Void) {
    // A directory opens, and reads as empty.
    guard let file = fopen(path, "r") else { return }
    defer { fclose(file) }
    var page = [UInt8](repeating: 0, count: 8192)
    page.withUnsafeMutableBytes { page in
      while case let count = fread(page.baseAddress, 1, page.count, file), count > 0 {
        body(UnsafeRawBufferPointer(rebasing: page[..<count]))
      }
    }
  }
}

/// A table whose pages can be changed one by one: a row updated stays in its page, and no index hears of it.
struct PagedTable {
  let pages: Int
  private static let rows = 5

  /// About half of it is compressible.
  func create(_ server: PostgresServer) throws {
    try server.psql(
      """
      create table paged (id int primary key, counter int not null, filler text not null)
        with (fillfactor = 75, autovacuum_enabled = off);
      insert into paged select i, 0, (select string_agg(md5((i * 31 + j)::text), '') from generate_series(1, 31) j)
        from generate_series(1, \(pages * Self.rows)) i;
      vacuum (freeze, analyze) paged;
      checkpoint;
      """)
    let size = try server.psql("select pg_relation_size('paged') / 8192")
    guard size == "\(pages)" else { throw EndToEndError.unexpected("\(size) pages, not \(pages)") }
  }

  /// Changes one row each of so many random pages, and has them written.
  func change(_ count: Int, _ server: PostgresServer, using random: inout SeededGenerator) throws {
    var chosen: Set<Int> = []
    while chosen.count < count { chosen.insert(Int.random(in: 0..<pages, using: &random)) }
    let ids = chosen.sorted().map { $0 * Self.rows + 1 + Int.random(in: 0..<Self.rows, using: &random) }
    try server.psql(
      """
      set enable_seqscan = off;
      update paged set counter = counter + 1 where id = any('{\(ids.map(String.init).joined(separator: ","))}');
      checkpoint;
      """)
  }

  /// All of it.
  static func digest(_ server: PostgresServer) throws -> String {
    try server.psql("select count(*), sum(counter), sum(hashtext(id || ' ' || counter || filler)::bigint) from paged")
  }
}
