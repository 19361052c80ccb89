import BackupModel
import FoundationEssentials
import Glibc
import TestSupport
import Testing

@Suite("A repository of many objects", .serialized) struct ManyObjectsTests {
  @Test("is listed, verified and pruned by few requests, in little memory")
  func inBucket() throws { try ManyObjects.expectBounded(objects: 10_000) }
}

@Suite("A repository of many objects, Soak", .enabled(if: Soak.isOn)) struct ManyObjectsSoak {
  @Test("is listed, verified and pruned by few requests, in little memory")
  func inBucket() throws { try ManyObjects.expectBounded(objects: 100_000) }
}

/// A bucket with one real backup among many objects that look like years of them.
private struct ManyObjects {
  /// Names that a page of S3's lists holds.
  private static let page = 1000
  let site: BackupSite
  let proxy: FaultProxy
  let objects: Int

  /// Half of the objects are WAL that is needed, half are packs that nothing refers to any more.
  static func expectBounded(objects: Int) throws {
    try ObjectServer.run(.rclone) { server in
      try PostgresServer.run { database in
        try FaultProxy.run(server) { proxy in
          try CloudSite.run(database, proxy.server) { site in
            try database.moveWAL(to: "000000010000010000000000")
            try Numbers.create(database)
            try site.withDaemon { _ in
              try site.backup()
              try site.waitUntilDurable(database)
            }
            let many = ManyObjects(site: site, proxy: proxy, objects: objects)
            let data = (server.facts["data"] ?? "") + "/" + CloudSite.bucket
            // rclone writes behind, and believes what it knows of its directories.
            try Poll.until(.seconds(60), "the objects on disk", every: .milliseconds(200)) {
              let names = try FileManager.default.subpathsOfDirectory(atPath: data)
              return ["/wal/0", "/backups/", "/packs/", "/metadata/"].allSatisfy { part in
                names.contains { $0.contains(part) && $0.split(separator: "/").count >= 5 }
              }
            }
            try server.stop()
            try many.fabricate(data)
            try server.startAgain()
            try many.expectBoundedDaemon(database)
            try server.stop()
            try many.makeNeeded(data)
            try server.startAgain()
            try many.expectBounded()
          }
        }
      }
    }
  }

  /// Puts files where the server keeps its objects. What is never read need not be sealed. WAL goes before that of the backup.
  private func fabricate(_ bucket: String) throws {
    try run(
      """
      def make(path):
        with open(path, "wb") as file: file.write(b"x" * 64)
        os.utime(path, (1_700_000_000, 1_700_000_000))
      for part in ["packs", "metadata"]:
        for number in range(count // 4): make(f"{lineage}/{part}/{number:032x}")
      for number in range(min(held) - count // 2, min(held)): make(path(number))
      """, bucket)
  }

  /// Puts the WAL behind that of the backup, where it is needed.
  private func makeNeeded(_ bucket: String) throws {
    try run(
      "for number in range(count // 2): os.rename(path(min(held) + number), path(max(held) + 1 + number))", bucket)
  }

  private func run(_ script: String, _ bucket: String) throws {
    let begin = """
      import os, sys, glob
      bucket, count = sys.argv[1], int(sys.argv[2])
      lineage = glob.glob(bucket + "/clusters/main/*")[0]
      # Whole segments and the folders of slices begin with the segment's name.
      found = [path for path in glob.glob(lineage + "/wal/*/*") if len(os.path.basename(path)) >= 24]
      folder = os.path.dirname(max(found))
      held = {int(name[8:16], 16) * 256 + int(name[16:24], 16) for name in map(os.path.basename, found)}
      def path(number): return f"{folder}/00000001{number // 256:08X}{number % 256:08X}"

      """
    try Program.succeed("/usr/bin/python3", ["-c", begin + script, bucket, "\(objects)"])
  }

  /// Starts the daemon on all of it, takes a backup, and sees what that took.
  private func expectBoundedDaemon(_ database: PostgresServer) throws {
    try proxy.begin(.none)
    try site.withDaemon { daemon in
      try site.backup()
      try site.waitUntilDurable(database)
      // The oldest WAL is read to know since when there is some, and is not what it seems. While a slow server lists, WAL waits.
      let raised = try site.json("status")["conditions"].array?.compactMap { $0["id"].text } ?? []
      #expect(raised.allSatisfy { ["repository:main", "wal-landing:main"].contains($0) }, "\(raised)")
      let (peak, counts) = (try daemon.memory("VmHWM"), try proxy.counts)
      Programs.note("daemon: \(peak >> 10) KiB, \(counts.kinds) of \(objects) objects")
      #expect(peak < 256 << 20, "\(peak)")
      #expect(counts.requests < 8 * objects / Self.page + 750, "\(counts)")
    }
  }

  private func expectBounded() throws {
    for command in [
      ["backups"], ["wal", "list"], ["verify"], ["prune", "--dry-run"], ["prune"], ["verify", "--full"],
    ] {
      try proxy.begin(.none)
      let peak = try site.measured(command)
      let counts = try proxy.counts
      Programs.note("\(command.joined(separator: " ")): \(peak >> 10) KiB, \(counts.kinds) of \(objects) objects")
      #expect(peak < 256 << 20, "\(command): \(peak)")
      // Each list is read a few times, since what is true at a removal is asked right before it; nothing is asked of each.
      // A verification reads the backup besides, which is the same in a small repository.
      #expect(counts.requests < 8 * objects / Self.page + 750, "\(command): \(counts)")
      #expect(counts.kinds["HEAD"] ?? 0 < 150, "\(command): \(counts)")
    }
    let report = try site.json("verify", "--full")
    #expect(report[0]["sound"].bool == true, "\(report)")
    let left = try site.json("prune", "--dry-run")
    #expect(!"\(left)".contains("\"remove\""), "\(left)")
  }
}

extension PostgresServer {
  /// Goes on at a segment far ahead.
  fileprivate func moveWAL(to segment: String) throws {
    try stop()
    try Program.succeed(installation.program("pg_resetwal"), ["-l", segment, dataDirectory], as: .postgres)
    try start()
  }
}

extension BackupSite {
  /// Runs a command that must exit 0.
  /// - Returns: The most memory that it held, as far as can be seen from outside: looked at every few milliseconds.
  func measured(_ arguments: [String]) throws -> Int {
    try Program.running(
      program("backupctl"), arguments, environment: ["BACKUPD_CONFIG": configuration], as: .postgres
    ) { program in
      var peak = 0
      while program.ended == nil {
        // Between its end and the next look there is nothing to read any more.
        if let now = try? RunningDaemon(program: program).memory("VmHWM") { peak = max(peak, now) }
        usleep(2000)
      }
      guard program.ended == .exited(0) else { throw EndToEndError.unexpected(program.standardError) }
      return peak
    }
  }
}
