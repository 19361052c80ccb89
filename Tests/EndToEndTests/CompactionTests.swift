import FoundationEssentials
import TestSupport
import Testing

@Suite("Backups of random changes") struct CompactionTests {
  @Test("store about what changed, each, and the last is what the server is") func small() throws {
    try RandomChanges.run(pages: 3000, backups: 6, percent: 25) { changes in
      #expect(changes.taken.allSatisfy { $0.ratio < 2.5 }, "\(changes.taken)")
      try changes.expectRestored()
    }
  }
}

@Suite("Backups of random changes, Soak", .enabled(if: Soak.isOn)) struct CompactionSoak {
  /// A cluster of 330 MB, 200 times 3 % of its pages.
  @Test("store at most 2.5 times what changed, and the 200th is restored as a fresh one is") func full() throws {
    try RandomChanges.run(pages: 40_000, backups: 200, percent: 3) { changes in
      #expect(changes.taken.allSatisfy { $0.ratio < 2.5 })
      try changes.expectRestored()
      let numbers = [1] + stride(from: 25, through: 200, by: 25)
      let (each, fresh) = try changes.restoreSeconds(of: numbers)
      #expect(try #require(each.last) < fresh * 1.3)
      try PerformancePage.replace("compaction", changes.table(numbers, each, fresh: fresh))
    }
  }
}

/// A cluster of which some of the pages change at random between a backup and the next.
private struct RandomChanges {
  struct Taken {
    var id: String
    var changedPages: Int
    /// Bytes.
    var compressed: Int
    var stored: Int
    var ratio: Double { Double(stored) / Double(compressed) }
  }

  let server: PostgresServer
  let site: BackupSite
  let first: String
  /// Those after the first.
  var taken: [Taken] = []

  static func run(pages: Int, backups: Int, percent: Int, _ body: (RandomChanges) throws -> Void) throws {
    let seed = Soak.seed
    Programs.note("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    let table = PagedTable(pages: pages)
    try PostgresServer.run(options: ["max_wal_size": "1GB"]) { server in
      try table.create(server)
      let change: (inout BackupSite.Options) -> Void = {
        $0.physical = ["source: direct"]
        $0.clusterKeys = ["data-directory: \(server.dataDirectory)"]
      }
      try BackupSite.run(server, change: change) { site in
        try site.withDaemon { _ in
          var changed = ChangedPages()
          _ = try changed.next(server)
          var changes = RandomChanges(server: server, site: site, first: try site.backup())
          for _ in 0..<backups {
            try table.change(pages * percent / 100, server, using: &random)
            let found = try changed.next(server)
            let id = try site.backup()
            let stored = try #require(try site.json("show", id)["storedBytes"].integer)
            changes.taken.append(
              Taken(id: id, changedPages: found.pages, compressed: found.compressedBytes, stored: stored))
            if changes.taken.count % 25 == 0 {
              Programs.note(
                "\(changes.taken.count) backups, the last stored \(changes.taken.last!.ratio) times its pages")
            }
          }
          Programs.note("at most \(changes.worst) times, \(changes.mean) times in the mean")
          try body(changes)
        }
      }
    }
  }

  var worst: Double { taken.map(\.ratio).max() ?? 0 }
  var mean: Double { taken.map(\.ratio).reduce(0, +) / Double(taken.count) }

  /// The last backup is whole, and holds what the server holds.
  func expectRestored() throws {
    let directory = try site.fresh("restored")
    try site.succeed(
      "restore", directory, "--cluster", BackupSite.cluster, "--backup", taken[taken.count - 1].id, "--target-immediate"
    )
    try Program.succeed(server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
    try PostgresServer.startRestored(directory: directory, version: server.version) { copy in
      try copy.waitUntilPromoted()
      #expect(try PagedTable.digest(copy) == PagedTable.digest(server))
    }
    try FileManager.default.removeItem(atPath: directory)
  }

  /// Medians of five rounds, in each of which every backup is restored once, and a new one that stored every page.
  func restoreSeconds(of numbers: [Int]) throws -> (each: [Double], fresh: Double) {
    try site.writeConfiguration(
      site.standardConfiguration.replacing("source: direct", with: "source: direct, full: true"))
    try site.succeed("reload")
    let fresh = try site.backup()
    let backups = numbers.map { taken[$0 - 1].id } + [fresh]
    var seconds = [[Double]](repeating: [], count: backups.count)
    for _ in 0..<5 {
      for (index, backup) in backups.enumerated() {
        let directory = try site.fresh("restored")
        let start = ContinuousClock.now
        try site.succeed(
          "restore", directory, "--cluster", BackupSite.cluster, "--backup", backup, "--target-immediate")
        seconds[index].append((ContinuousClock.now - start) / .seconds(1))
        try FileManager.default.removeItem(atPath: directory)
      }
    }
    let medians = seconds.map { $0.sorted()[2] }
    for (number, median) in zip(numbers, medians) { Programs.note("backup \(number) restored in \(median) s") }
    Programs.note("a fresh one in \(medians.last!) s")
    return (Array(medians.dropLast()), medians.last!)
  }

  func table(_ numbers: [Int], _ seconds: [Double], fresh: Double) -> String {
    var lines = [
      "| backup | changed pages | stored, MiB | stored, by changed pages compressed | restore, s |",
      "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for (number, seconds) in zip(numbers, seconds) {
      let one = taken[number - 1]
      lines.append(
        "| \(number) | \(one.changedPages) | \(rounded(Double(one.stored) / 1_048_576, 10)) | \(rounded(one.ratio, 100)) | \(rounded(seconds, 100)) |"
      )
    }
    lines.append("| fresh full | | | | \(rounded(fresh, 100)) |")
    lines.append("")
    lines.append(
      "All \(taken.count): at most \(rounded(worst, 100)) times the changed pages compressed (2.5 is the limit), \(rounded(mean, 100)) in the mean. The last is restored in \(rounded(seconds.last! / fresh, 100)) of a fresh full's time (1.3 is the limit). Medians of 5 interleaved rounds; PostgreSQL \(server.version), direct."
    )
    return lines.joined(separator: "\n")
  }

  private func rounded(_ value: Double, _ parts: Double) -> Double { (value * parts).rounded() / parts }
}
