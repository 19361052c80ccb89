import ArgumentParser
import BackupModel
import Repository

/// What `wal list` and `wal gaps` take, and the WAL they look at.
struct StoredWALOptions: ParsableArguments {
  @Option(
    help: "Only that of this cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID?
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  /// Calls `body` for each lineage. Stores that do not answer are warned of: what they hold is not shown.
  func forEachLineage(_ body: (Lineage, WALCatalog) throws -> Void) throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openForReading(settings, asOf: past.moment())
    if let cluster { try ClusterChoice.check(cluster, settings, repository) }
    for name in try cluster.map({ [$0] }) ?? repository.clusters() {
      for lineage in try repository.lineages(of: name) {
        let catalog = try WALCatalog(repository, lineage)
        for (store, report) in catalog.failures.sorted(by: { $0.key < $1.key }) {
          ErrorOutput.warn("store \"\(store)\" does not answer: \(report.summary)")
        }
        try body(lineage, catalog)
      }
    }
  }
}

struct WALListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "The WAL in the repository, each line a stretch without a hole.",
    discussion: "Reads the repository itself; the daemon need not run.", example: "backupctl wal list")

  @OptionGroup var options: StoredWALOptions

  func run() throws {
    var table = Table([
      .text("CLUSTER"), .number("TIMELINE", drop: 2), .exact("FROM"), .exact("TO"), .exact("FIRST SEGMENT", drop: 3),
      .exact("LAST SEGMENT", drop: 4), .number("SEGMENTS", drop: 1), .text("STORES"),
    ])
    var documents: [JSONValue] = []
    try options.forEachLineage { lineage, catalog in
      for run in catalog.timelines.flatMap({ catalog.runs(of: $0) }) {
        documents.append(run.document(lineage))
        table.rows.append([
          Table.Cell(lineage.cluster.rawValue), Table.Cell("\(run.timeline)"), Table.Cell("\(run.first)"),
          Table.Cell("\(run.end)"), Table.Cell(run.firstSegment), Table.Cell(run.lastSegment),
          Table.Cell("\(run.segments)"), Table.Cell(run.stores.map(\.rawValue).joined(separator: ", ")),
        ])
      }
    }
    options.shared.show(.array(documents)) {
      table.rows.isEmpty ? "there is no WAL in the repository" : table.text()
    }
  }
}

struct WALGapsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gaps", abstract: "Where WAL is missing: no restore can pass a gap.",
    discussion: """
      Reads the repository itself; only for --acknowledge the daemon must run. A gap stays recorded for ever: no restore \
      can pass it. A base backup taken behind it makes later instants restorable.
      """, example: "backupctl wal gaps --cluster main")

  @Flag(help: "Have the daemon take note that these are known: it no longer tells of them.")
  var acknowledge = false
  @OptionGroup var options: StoredWALOptions

  func validate() throws {
    if acknowledge, options.past.text != nil {
      throw ValidationError("Gaps of now are acknowledged, not those of --as-of.")
    }
  }

  func run() throws {
    var table = Table([
      .text("CLUSTER"), .number("TIMELINE"), .exact("FROM"), .exact("TO"), .exact("FOUND", drop: 1), .text("REASON"),
    ])
    let time = LocalTime()
    var documents: [JSONValue] = []
    var unreadable: [ErrorReport] = []
    try options.forEachLineage { lineage, catalog in
      let gaps = try catalog.gaps()
      unreadable += gaps.unreadable
      for gap in gaps.rows {
        documents.append(gap.document(lineage))
        table.rows.append([
          Table.Cell(lineage.cluster.rawValue), Table.Cell("\(gap.timeline)"), Table.Cell("\(gap.first)"),
          Table.Cell("\(gap.end)"), Table.Cell(time.listed(gap.found)), Table.Cell(gap.reason),
        ])
      }
    }
    let acknowledged = acknowledge ? try options.shared.client().acknowledgeGaps(of: options.cluster) : []
    options.shared.show(.array(documents)) {
      let none = unreadable.isEmpty ? "there are no gaps" : "there are no gaps that can be read"
      return
        ([table.rows.isEmpty ? none : table.text()]
        + acknowledged.map { "acknowledged: the missing WAL of cluster \($0) is known" }).joined(separator: "\n")
    }
    guard unreadable.isEmpty else {
      for report in unreadable { ErrorOutput.print(report) }
      throw ExitCode(ExitStatus.failed)
    }
  }
}

extension WALRun {
  func document(_ lineage: Lineage) -> JSONValue {
    .fields([
      "cluster": lineage.cluster, "systemIdentifier": lineage.systemIdentifier, "timeline": timeline,
      "fromLSN": first, "toLSN": end, "firstSegment": firstSegment, "lastSegment": lastSegment, "segments": segments,
      "stores": stores,
    ])
  }
}

extension WALGapRow {
  func document(_ lineage: Lineage) -> JSONValue {
    .fields([
      "cluster": lineage.cluster, "systemIdentifier": lineage.systemIdentifier, "timeline": timeline,
      "fromLSN": first, "toLSN": end, "reason": reason, "found": found, "recorded": isRecorded,
    ])
  }
}
