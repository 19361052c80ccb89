import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("restore_command", .serialized) struct WALFetchTests {
  @Test("hands over segments that were fetched ahead, with the store away, until there is none") func ahead() throws {
    try Self.run { _, site, directory in
      let names = try Self.segments(site)
      let fetch = try RestoredDirectory(site, directory)
      #expect(try fetch.fetch(names[0]).succeeded)
      try Poll.until(.seconds(30), "what follows to be fetched") { fetch.ahead.count >= 5 }
      let expected = try fetch.content()
      #expect(expected.count == 16 << 20)
      // From here on there is no repository: what comes was there.
      try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
      for name in names[1...5] {
        #expect(try fetch.fetch(name).succeeded)
        #expect(try fetch.content().count == 16 << 20)
      }
      #expect(try fetch.fetch("000000010000000000000099").status == .exited(126))
      try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
      // The same bytes as without it, and nothing stays when recovery has ended.
      #expect(try fetch.fetch(names[0]).succeeded && fetch.content() == expected)
      try FileManager.default.removeItem(atPath: directory + "/recovery.signal")
      try Poll.until(.seconds(30), "its end") { fetch.directories.isEmpty }
    }
  }

  @Test("fetches ahead across a promotion, each segment from the timeline that recovery asks for", arguments: [15, 18])
  func acrossTimelines(version: Int) throws {
    try ServerPair.run(version: version, address: nil) { start in
      var pair = start
      try BackupSite.run(pair.primary, change: { $0.connection = pair.connection(overNetwork: false) }) { site in
        try Numbers.create(pair.primary)
        try site.withDaemon { _ in
          try site.backup()
          for number in 1...3 { try ArchiveCommandTests.fill(pair.primary, number) }
          try pair.waitForStandby()
          try pair.failOver()
          for number in 4...6 { try ArchiveCommandTests.fill(pair.primary, number) }
          try site.waitUntilDurable(pair.primary, deadline: .seconds(120))
        }
        let directory = try site.fresh("restored")
        try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
        let fetch = try RestoredDirectory(site, directory)
        let names = try Self.segments(of: "", site)
        let old = try #require(names.first { $0.hasPrefix("00000001") })
        let new = names.filter { $0.hasPrefix("00000002") }
        #expect(try new.count >= 3 && fetch.fetch(old).succeeded)
        try Poll.until(.seconds(30), "what follows to be fetched") { fetch.ahead.contains(new[1]) }
        try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
        for name in new[...1] {
          #expect(try fetch.fetch(name).succeeded)
          // The long page header tells the timeline: bytes 4 to 7 (xlog_internal.h, XLogPageHeaderData).
          if name == new[1] { #expect(try Array(fetch.content()[4..<8]) == [2, 0, 0, 0]) }
        }
        try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
        try PostgresServer.startRestored(directory: directory, version: version) { copy in
          try copy.waitUntilPromoted()
          #expect(try Numbers.all(copy) == Array(1...6))
        }
      }
    }
  }

  @Test("leads a server to the end, and leaves nothing", arguments: [15, 18])
  func recovers(version: Int) throws {
    try Self.run(version: version) { server, site, directory in
      try server.stop()
      try PostgresServer.startRestored(directory: directory, version: version) { copy in
        try copy.waitUntilPromoted()
        #expect(try Numbers.all(copy) == Array(0...12))
        try Poll.until(.seconds(30), "no directory left") { try RestoredDirectory(site, directory).directories.isEmpty }
      }
    }
  }

  @Test("keeps a standby going, also while the store is away", arguments: [15, 18])
  func standby(version: Int) throws {
    try Self.run(version: version) { server, site, directory in
      try FileManager.default.moveItem(
        atPath: directory + "/recovery.signal", toPath: directory + "/standby.signal")
      let command =
        "\(site.program("backupd-wal")) fetch --config \(site.configuration) --cluster main --standby %f \"%p\""
      try Self.replaceRecovery(
        "restore_command = '\(command)'\nwal_retrieve_retry_interval = '200ms'\nhot_standby = on\n"
          + "recovery_target_timeline = 'latest'\n",
        in: directory + "/postgresql.auto.conf")
      try PostgresServer.startRestored(directory: directory, version: version) { copy in
        func follow(_ number: Int) throws {
          try Poll.until(.seconds(60), "number \(number) on the standby", every: .milliseconds(100)) {
            try Numbers.all(copy).contains(number)
          }
        }
        try follow(12)
        try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
        usleep(3_000_000)
        #expect(try copy.psql("select pg_is_in_recovery()") == "t")
        try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
        try site.withDaemon { _ in
          try ArchiveCommandTests.fill(server, 13)
          try site.waitUntilDurable(server)
          try follow(13)
        }
        #expect(try copy.psql("select pg_is_in_recovery()") == "t")
      }
    }
  }

  @Test("is refused without an end, or with one for a standby") func usage() throws {
    for arguments in [[], ["--until", "1/0/3000000", "--standby"], ["--until", "nonsense"]] {
      let result = try Program.run(
        Programs.directory() + "/backupctl",
        ["wal", "fetch", "--cluster", "main"] + arguments + ["000000010000000000000001", "/tmp/x"])
      #expect(result.status == .exited(126))
    }
  }

  // MARK: Support

  /// A server that was backed up and wrote a dozen segments since, and what a restore of it left to start.
  private static func run(
    version: Int = 15, _ body: (PostgresServer, BackupSite, String) throws -> Void
  ) throws {
    try PostgresServer.run(version: version) { server in
      try BackupSite.run(server) { site in
        try Numbers.create(server)
        try Numbers.add(0, server)
        try site.withDaemon { _ in
          try site.backup()
          for number in 1...12 { try ArchiveCommandTests.fill(server, number) }
          try site.waitUntilDurable(server)
        }
        let directory = try site.fresh("restored")
        try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
        try body(server, site, directory)
      }
    }
  }

  /// Names of whole segments in the store, in order.
  private static func segments(of timeline: String = "00000001", _ site: BackupSite) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: site.store).compactMap { $0.split(separator: "/").last }
      .map(String.init).filter { $0.utf8.count == 24 && $0.hasPrefix(timeline) }.sorted()
  }

  /// Puts settings in the place of those that `restore` wrote for its target.
  private static func replaceRecovery(_ text: String, in path: String) throws {
    let old = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter {
      !$0.hasPrefix("recovery_target") && !$0.hasPrefix("restore_command")
    }
    try (old.joined(separator: "\n") + "\n" + text).write(toFile: path, atomically: false, encoding: .utf8)
  }
}

/// A directory that recovery is about to begin in, and its `restore_command`.
private struct RestoredDirectory {
  let site: BackupSite
  let directory: String
  let until: String

  init(_ site: BackupSite, _ directory: String) throws {
    self.site = site
    self.directory = directory
    let text = try String(contentsOfFile: directory + "/postgresql.auto.conf", encoding: .utf8)
    guard let option = text.firstRange(of: "--until ") else { throw EndToEndError.unexpected(text) }
    until = String(text[option.upperBound...].prefix { $0 != " " })
  }

  var directories: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.filter { $0.hasPrefix("backupd-prefetch-") }
  }

  /// Segments that lie ready.
  var ahead: [String] {
    directories.flatMap { (try? FileManager.default.contentsOfDirectory(atPath: directory + "/" + $0)) ?? [] }
      .filter { $0.utf8.count == 24 }
  }

  func fetch(_ name: String) throws -> ProgramResult {
    try Program.run(
      "/bin/sh",
      [
        "-c",
        "cd \(directory) && exec \(site.program("backupd-wal")) fetch --config \(site.configuration) --cluster main "
          + "--until \(until) \(name) pg_wal/RECOVERYXLOG",
      ], as: .postgres)
  }

  func content() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: directory + "/pg_wal/RECOVERYXLOG")) }
}
