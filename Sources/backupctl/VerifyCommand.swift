import ArgumentParser
import BackupModel
import BlockingWork
import Repository

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Prove that backups can be read: one, or all.",
    discussion: """
      Without --full it opens manifests and looks for every pack and WAL segment; with it, every byte is read and \
      compared. Reads the repository itself; the daemon need not run. Exit status 1 says that damage was found.
      """, example: "backupctl verify --full")

  @Argument(
    help: "The backup; otherwise all.", completion: NameCompletion.backups, transform: parsing { try BackupID($0) })
  var backup: BackupID?
  @Flag(help: "Read everything.")
  var full = false
  @Option(
    help: ArgumentHelp("Look into this store alone, such as one of durability on-copy.", valueName: "store"),
    completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID?
  @OptionGroup var past: AsOfOption
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration()
    let repository = try shared.openRepository(settings, only: store, asOf: past.moment())
    let cancellation = Interruption.cancellation()
    let verifier = Verifier(repository: repository)
    var reports: [VerifyReport] = []
    for (id, cluster) in try chosen(repository) {
      let meter = ProgressMeter()
      defer { meter.finish() }
      let report = try verifier.verify(
        id, of: cluster, depth: full ? .full : .presence, workers: settings.daemon.workers, cancellation: cancellation
      ) { meter.update($0) }
      meter.finish()
      // What is past cannot be marked, and the next backup leans on what is there now.
      if past.text == nil { mark(report, verifier, cancellation) }
      reports.append(report)
      // Told as they come: reading all takes long.
      if !shared.json { Output.write(Self.text(report)) }
    }
    if shared.json {
      Output.write(reports.json.text)
    } else if reports.isEmpty {
      Output.write("there are no backups yet")
    }
    if !reports.allSatisfy(\.isSound) { throw ExitCode(ExitStatus.failed) }
  }

  /// Lets the next backup store anew what is damaged. Reading alone may be all this caller may do: then it is only said.
  private func mark(_ report: VerifyReport, _ verifier: Verifier, _ cancellation: Cancellation) {
    do {
      try verifier.mark(report, cancellation: cancellation)
    } catch {
      ErrorOutput.print(
        ErrorReport(
          summary: "could not mark what is damaged in backup \"\(report.backup)\"",
          detail: ErrorReport(error).description,
          hint: "Run this as the daemon's user, so that the next backup stores anew what is damaged."))
    }
  }

  /// Backups whose manifest cannot be read are among them: that is a finding.
  private func chosen(_ repository: Repository) throws -> [(BackupID, ClusterID?)] {
    if let backup { return [(backup, nil)] }
    let (backups, damaged) = try BackupCatalog(repository).list()
    return (backups.map { ($0.id, $0.cluster) } + damaged.map { ($0.backup, $0.cluster) }).sorted { $0.0 < $1.0 }
  }

  private static func text(_ report: VerifyReport) -> String {
    let looked = report.depth == .full ? "\(report.bytes) read" : "\(report.objects) objects are there"
    guard !report.isSound else {
      let sound = "\(report.backup)  " + "sound".styled(.good) + ", \(looked)"
      if report.unread.isEmpty { return sound }
      return sound + "; \(report.unread.count) packs are frozen and were not read".styled(.warning)
    }
    let lines = report.damage.map { ErrorOutput.labelled($0.store.rawValue, "\($0.object): \($0.reason)") }
    return (["\(report.backup)  " + "damaged".styled(.bad)] + lines).joined(separator: "\n")
  }
}

extension VerifyReport: JSONConvertible {
  var json: JSONValue {
    let damage = damage.map {
      JSONValue.fields(["object": $0.object, "store": $0.store, "reason": $0.reason])
    }
    let unread = unread.map {
      JSONValue.fields(["object": $0.object, "store": $0.store, "reason": $0.reason])
    }
    return .fields([
      "backup": backup, "cluster": cluster, "depth": depth.rawValue, "sound": isSound, "stores": stores,
      "files": files, "objects": objects, "bytes": bytes, "damage": damage, "unread": unread,
    ])
  }
}
