import ArgumentParser
import BackupModel
import DaemonConfiguration
import Repository
import RepositoryAccess

struct PruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove what no job keeps, or say what that would be.",
    discussion: """
      The daemon does this by itself after each backup and once a day; it need not run. What "keep" no longer covers is \
      deleted, what was deleted 24 hours ago is removed, then packs and WAL that nothing needs. --dry-run says for each \
      why it stays or goes, and changes nothing.
      """, example: "backupctl prune --dry-run")

  @Flag(name: .customLong("dry-run"), help: "Only say what would happen.")
  var dryRun = false
  @Option(help: "Only this cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openRepository(settings)
    if let cluster { try ClusterChoice.check(cluster, settings, repository) }
    let cancellation = Interruption.cancellation()
    var reports: [PruneReport] = []
    for cluster in try cluster.map({ [$0] }) ?? repository.clusters() {
      let pruner = Pruner(
        repository: repository, cluster: cluster,
        options: .init(rules: settings.retentionRules(for: cluster), dryRun: dryRun))
      reports += try pruner.run(cancellation: cancellation)
      reports += try Pruner.runArchives(
        of: repository, cluster, rules: settings.archiveRules(for: cluster), dryRun: dryRun, cancellation: cancellation)
    }
    shared.show(reports.json) {
      reports.isEmpty ? "there are no backups yet" : reports.map { Self.text($0, dryRun) }.joined(separator: "\n\n")
    }
    for report in reports {
      guard let refusal = report.refusal else { continue }
      ErrorOutput.warn("nothing was removed from store \"\(report.store)\": \(refusal.summary)", hint: refusal.hint)
    }
    let errors = reports.compactMap(\.error)
    for error in errors { ErrorOutput.print(error) }
    if !errors.isEmpty { throw ExitCode(ExitStatus.failed) }
  }

  private static func text(_ report: PruneReport, _ isDry: Bool) -> String {
    var table = Table([.text("WHAT"), .exact("NAME"), .number("BYTES", drop: 1), .exact("FATE"), .text("REASON")])
    table.rows = report.entries.map { entry in
      [
        Table.Cell(entry.kind), Table.Cell(entry.name ?? "\(entry.count)"),
        Table.Cell(entry.bytes.value > 0 ? "\(entry.bytes)" : nil), Table.Cell(fate(entry.action, isDry)),
        Table.Cell(entry.reason),
      ]
    }
    let title = "cluster \(report.cluster) (\(report.systemIdentifier)), store \(report.store)".styled(.strong)
    let sum = "\(isDry ? "would free" : "freed") \(report.freedBytes)"
    return [title, table.text(), sum].joined(separator: "\n")
  }

  private static func fate(_ action: PruneReport.Action, _ isDry: Bool) -> String {
    switch action {
    case .keep: "stays"
    case .wait: "waits"
    case .tombstone: isDry ? "would be deleted" : "deleted"
    case .remove: isDry ? "would go" : "removed"
    }
  }
}

extension PruneReport: JSONConvertible {
  var json: JSONValue {
    let entries = entries.map { entry in
      JSONValue.fields([
        "action": entry.action.rawValue, "kind": entry.kind, "name": entry.name, "count": entry.count,
        "bytes": entry.bytes, "reason": entry.reason,
      ])
    }
    return .fields([
      "cluster": cluster, "systemIdentifier": systemIdentifier, "store": store, "entries": entries,
      "freedBytes": freedBytes, "refusal": refusal, "error": error,
    ])
  }
}
