import BackupModel
import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// What must hold after every interruption, whatever it was.
extension BackupSite {
  var runs: [JSON] { get throws { try json("runs", "physical").array ?? [] } }

  /// Starts a backup and returns at once with the run's id.
  func beginBackup() throws -> String {
    guard let run = try json("run", "physical", "--no-wait")["run"].text else {
      throw EndToEndError.unexpected("job \"physical\" did not begin")
    }
    return run
  }

  /// Returns once pages of a live run are on their way to the store.
  func waitUntilCopying(_ run: String) throws {
    try Poll.until(.seconds(60), "run \(run) copying", every: .milliseconds(100)) {
      let found = try runs.first { $0["run"].text == run }
      if let outcome = found?["outcome"].text {
        throw EndToEndError.unexpected(
          "run \(run) ended before it was copying: \(outcome), \(found?["error"] ?? .null)")
      }
      return (found?["progress"]["doneBytes"].number ?? 0) > 0
    }
  }

  /// Returns a run once it has ended.
  func waitUntilEnded(_ run: String) throws -> JSON {
    var found = JSON.null
    try Poll.until(.seconds(120), "the end of run \(run)", every: .milliseconds(100)) {
      found = try runs.first { $0["run"].text == run } ?? .null
      return found["outcome"].text != nil
    }
    return found
  }

  /// WAL is one run without a hole, in the stores' own listing.
  func expectUnbrokenWAL(_ location: SourceLocation = #_sourceLocation) throws {
    #expect(try json("wal", "gaps") == .array([]), sourceLocation: location)
    #expect(try json("wal", "list").array?.count == 1, "WAL is not one stretch", sourceLocation: location)
  }

  /// Everything that is listed can be read, byte by byte.
  func expectSoundBackups(atLeast count: Int, _ location: SourceLocation = #_sourceLocation) throws {
    let listed = try #require(try json("backups").array, sourceLocation: location)
    let verified = try #require(try json("verify", "--full").array, sourceLocation: location)
    #expect(listed.count >= count, sourceLocation: location)
    #expect(Set(verified.map { $0["backup"].text }) == Set(listed.map { $0["id"].text }), sourceLocation: location)
    for one in verified { #expect(one["sound"].bool == true, "\(one)", sourceLocation: location) }
  }

  /// An error of three parts, such as an operator can act on.
  func expectThreeParts(_ error: JSON, mentioning words: String..., location: SourceLocation = #_sourceLocation) {
    let parts = ["summary", "detail", "hint"].map { error[$0].text }
    #expect(!parts.contains(nil) && !parts.contains(""), "\(error)", sourceLocation: location)
    let text = parts.compactMap { $0 }.joined(separator: "\n")
    for word in words { #expect(text.contains(word), "\"\(word)\" in \(text)", sourceLocation: location) }
  }

  /// The names of the objects below a part of a lineage, such as `packs`: what a run left in the store.
  func objects(_ part: String) throws -> Set<String> {
    let clusters = store + "/clusters/\(Self.cluster)"
    guard FileManager.default.fileExists(atPath: clusters) else { return [] }
    var found: Set<String> = []
    for lineage in try FileManager.default.contentsOfDirectory(atPath: clusters) {
      let directory = "\(clusters)/\(lineage)/\(part)"
      guard FileManager.default.fileExists(atPath: directory) else { continue }
      found.formUnion(try FileManager.default.subpathsOfDirectory(atPath: directory).map { "\(lineage)/\($0)" })
    }
    return found
  }
}

/// Rows written by a load, one transaction each: what a restore is compared with.
enum Ledger {
  static let script = "insert into ledger (written) values (clock_timestamp());\n"

  static func create(_ server: PostgresServer) throws {
    try server.psql("create table ledger (id bigserial primary key, written timestamptz not null)")
  }

  /// Number and digest of all rows.
  static func digest(_ server: PostgresServer) throws -> String {
    try server.psql("select count(*), md5(coalesce(string_agg(id || '@' || written, ',' order by id), '')) from ledger")
  }

  /// Restores to the end of WAL, starts the server there, and compares all rows with the source's.
  static func expectRestored(
    _ site: BackupSite, of server: PostgresServer, location: SourceLocation = #_sourceLocation
  ) throws {
    let wanted = try digest(server)
    try site.waitUntilDurable(server)
    let directory = try site.fresh("restored-\(UInt32.random(in: 0 ... .max))")
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try PostgresServer.startRestored(directory: directory, version: server.version) { restored in
      try restored.waitUntilPromoted()
      #expect(try digest(restored) == wanted, sourceLocation: location)
    }
    try FileManager.default.removeItem(atPath: directory)
  }
}
