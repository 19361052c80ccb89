import BackupModel
import FoundationEssentials
import Glibc
import TestSupport
import Testing

@Suite("A flipped bit", .serialized) struct FlippedBitTests {
  @Test("in any object is refused with the object's name, never restored") func refused() throws {
    try FlippedBits.run(randomPlaces: 0)
  }
}

@Suite("A flipped bit, at full size", .serialized, .enabled(if: Soak.isOn)) struct FlippedBitSoak {
  @Test("in any object is refused with the object's name, never restored") func refused() throws {
    try FlippedBits.run(randomPlaces: 12)
  }
}

/// A repository with an object of each kind, whose bits are flipped one after another.
private struct FlippedBits {
  let server: PostgresServer
  let site: BackupSite
  private var restores = 0

  static func run(randomPlaces: Int) throws {
    try BackupSite.runBackedUp { server, site in
      // A segment that is complete, and slices of the next.
      try site.withDaemon { _ in
        try server.psql("select pg_switch_wal()")
        try Numbers.add(4, server)
        try site.waitUntilDurable(server)
      }
      var bits = FlippedBits(server: server, site: site)
      var random = SeededGenerator(seed: Soak.seed)
      for object in try bits.objects() {
        let size = try bits.size(of: object)
        let places = [0, size / 2, size - 1] + (0..<randomPlaces).map { _ in Int.random(in: 0..<size, using: &random) }
        for (number, place) in places.enumerated() {
          try bits.flipping(object, at: place) { bits in
            try bits.expectRefused(object, "byte \(place) of \(object)")
            if number == 1, !object.contains(".partial/") { try bits.expectVerifyNames(object) }
          }
        }
      }
      try bits.expectRecoveryStops()
      try bits.expectGapRefused()
    }
  }

  private init(server: PostgresServer, site: BackupSite) {
    self.server = server
    self.site = site
  }

  // MARK: Objects

  private func all() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: site.store).filter { name in
      var isDirectory = false
      return FileManager.default.fileExists(atPath: "\(site.store)/\(name)", isDirectory: &isDirectory) && !isDirectory
    }.sorted()
  }

  /// One of each kind that a restore to the end of WAL needs.
  private func objects() throws -> [String] {
    let names = try all()
    let start = try LSN(try #require(try site.json("backups")[0]["startLSN"].text))
    let needed = WALSegment(timeline: TimelineID(1), holding: start, size: .standard).name(size: .standard)
    let kinds: [(what: String, matches: (String) -> Bool)] = [
      ("repository", { $0 == "repository.json" }), ("key envelope", { $0.hasPrefix("keys/") }),
      ("pack", { $0.contains("/packs/") }), ("metadata pack", { $0.contains("/metadata/") }),
      ("manifest", { $0.contains("/backups/") }),
      // The segment that the backup itself needs, which is what verify reads.
      ("segment", { $0.hasSuffix("/" + needed) }),
      ("slice", { $0.contains(".partial/") && !isSuperseded($0, names) }),
    ]
    return try kinds.map { kind in
      try #require(names.first(where: kind.matches), "the repository has no \(kind.what): \(names)")
    }
  }

  private func isSuperseded(_ slice: String, _ names: [String]) -> Bool {
    names.contains(String(slice.prefix { $0 != "." }))
  }

  private func size(of object: String) throws -> Int {
    var status = stat()
    try #require(stat("\(site.store)/\(object)", &status) == 0)
    return Int(status.st_size)
  }

  private mutating func flipping(
    _ object: String, at place: Int, _ body: (inout FlippedBits) throws -> Void
  ) throws {
    try flip(object, place)
    try body(&self)
    try flip(object, place)
  }

  private func flip(_ object: String, _ place: Int) throws {
    let file = open("\(site.store)/\(object)", O_RDWR)
    try #require(file >= 0)
    defer { close(file) }
    var byte: UInt8 = 0
    try #require(pread(file, &byte, 1, off_t(place)) == 1)
    byte ^= 1 << UInt8(place % 8)
    try #require(pwrite(file, &byte, 1, off_t(place)) == 1)
  }

  // MARK: Expectations

  /// Either the restore is refused and leaves nothing that starts, or, for WAL and for what a restore does not read, what
  /// it wrote is right and the fetch of the damaged WAL stops recovery.
  private mutating func expectRefused(_ object: String, _ what: String) throws {
    let directory = try fresh()
    let result = try site.backupctl("restore", directory, "--cluster", BackupSite.cluster)
    if result.succeeded {
      if object.contains("/wal/") {
        try expectFetchStops(object, directory, what)
      } else {
        #expect(object.contains("/packs/") || object.contains("/metadata/"), "\(what) was restored")
        try Program.succeed(server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
        try expectVerifyNames(object)
      }
    } else {
      #expect(result.status == .exited(1), "\(what): \(result.standardError)")
      #expect(result.standardError.contains(object), "\(what): \(result.standardError)")
      #expect(!FileManager.default.fileExists(atPath: directory + "/global/pg_control"), "\(what)")
    }
  }

  private func expectFetchStops(_ object: String, _ directory: String, _ what: String) throws {
    let segment = try #require(object.split(separator: "/").first { $0.count >= 24 && $0.hasPrefix("00000001") })
    let result = try Program.run(
      site.program("backupd-wal"),
      [
        "fetch", "--config", site.configuration, "--cluster", BackupSite.cluster, "--until", "1/FFFFFFFF/FFFFFFFF",
        String(segment.prefix(24)), directory + "/pg_wal/fetched",
      ], as: .postgres)
    #expect(result.status == .exited(126), "\(what): \(result.standardError)")
    #expect(result.standardError.contains(object), "\(what): \(result.standardError)")
    #expect(!FileManager.default.fileExists(atPath: directory + "/pg_wal/fetched"), "\(what)")
  }

  private func expectVerifyNames(_ object: String) throws {
    let result = try site.backupctl("verify", "--full", "--json")
    #expect(result.status == .exited(1), "verify is content with \(object)")
    let text = result.standardOutput.replacing("\\/", with: "/") + result.standardError
    #expect(text.contains(object), "verify: \(text)")
  }

  /// A real server in recovery stops at damaged WAL; it does not take it for the end and promote.
  private mutating func expectRecoveryStops() throws {
    let segment = try #require(try objects().first { $0.contains("/wal/") && !$0.contains(".partial/") })
    let directory = try fresh()
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try flipping(segment, at: size(of: segment) / 2) { _ in
      let error = #expect(throws: TestSupportError.self) {
        try PostgresServer.startRestored(directory: directory) { try $0.waitUntilPromoted(deadline: .seconds(10)) }
      }
      #expect(error.map { "\($0)".contains(segment) } == true, "\(error.map { "\($0)" } ?? "")")
      let left = try FileManager.default.contentsOfDirectory(atPath: directory + "/pg_wal")
      #expect(!left.contains("00000002.history"))
    }
    // With the segment as it was, the same directory recovers.
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == [1, 2, 3, 4])
    }
  }

  /// A gap that cannot be read is not "no gap".
  private mutating func expectGapRefused() throws {
    try server.psql("select pg_drop_replication_slot('backupd_main')")
    for _ in 0..<3 { try server.psql("select pg_switch_wal(), txid_current(); checkpoint") }
    try site.withDaemon { _ in
      try Poll.until(.seconds(30), "the gap") { try site.json("wal", "gaps").array?.isEmpty == false }
    }
    let gap = try #require(try all().first { $0.contains("/gaps/") })
    try flipping(gap, at: size(of: gap) / 2) { bits in
      let result = try bits.site.backupctl("wal", "gaps")
      #expect(result.status == .exited(1))
      #expect(result.standardError.contains(gap), "\(result.standardError)")
    }
  }

  private mutating func fresh() throws -> String {
    restores += 1
    return try site.fresh("restored-\(restores)")
  }
}
