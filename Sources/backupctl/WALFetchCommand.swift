import ArgumentParser
import BackupModel
import BlockingWork
import Foundation
import Recovery

struct WALFetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch", abstract: "Write one WAL file from the repository: PostgreSQL's restore_command.",
    discussion: """
      "backupd-wal fetch" becomes this. Exit status 0: done. 1: proven absent, which ends recovery. 126: anything \
      else, so that PostgreSQL stops instead of promoting too early.
      """,
    example:
      "backupctl wal fetch --cluster main --until 1/16/B374D848 000000010000001600000042 pg_wal/RECOVERYXLOG")

  @Option(help: "The cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID
  @Option(
    help: ArgumentHelp("The planned end of recovery: nothing beyond it is served.", valueName: "timeline/lsn"),
    transform: parsing { try PlannedEnd.parse($0) })
  var until: WALPosition?
  @Flag(help: "For a standby, which asks again: 1 also where a store does not answer.")
  var standby = false
  @Option(
    help:
      "A store that is not asked and counts as having nothing, such as one that is lost. May be given several times.",
    transform: parsing { try StoreID($0) })
  var without: [StoreID] = []
  @Option(
    help: "Read from this store alone.", completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID?
  @Option(
    help: ArgumentHelp("The stores as they were at this time, as \"restore --as-of\" says it.", valueName: "time"),
    transform: parsing { try Timestamp(rfc3339: $0) })
  var asOf: Timestamp?
  @Option(help: .hidden)
  var prefetch: String?
  @Flag(help: .hidden)
  var ahead = false
  @Argument(help: "The file PostgreSQL asks for: %f.")
  var name: String
  @Argument(help: "Where to put it: %p.", completion: .file())
  var destination: String
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if (until == nil) != standby { throw ValidationError("Give either --until or --standby.") }
  }

  func run() throws {
    if ahead, let prefetch {
      try WALPrefetch(open(), after: name, into: prefetch)?.run(lanes: Self.lanes, Cancellation())
      return
    }
    let outcome = standby ? WALFetch.patiently { try attempt() } : try attempt()
    if case .done = outcome { fetchAhead() }
    if let report = outcome.report { ErrorOutput.print(report) }
    if shared.json {
      let word =
        switch outcome {
        case .done: "done"
        case .absent: "absent"
        case .failed, .unavailable: "failed"
        }
      Output.write(JSONValue.fields(["name": name, "destination": destination, "outcome": word]).text)
    }
    if outcome.exitCode != ExitStatus.done { throw ExitCode(outcome.exitCode) }
  }

  private func attempt() throws -> WALFetch.Outcome {
    let fetch = try open()
    // Into the server's log.
    defer { for warning in fetch.warnings { ErrorOutput.warn(warning) } }
    return fetch.fetch(name, to: destination)
  }

  private func open() throws -> WALFetch {
    var configuration = try shared.loadConfiguration()
    configuration.repository.stores.removeAll { without.contains($0.id) }
    let repository = try shared.openRepository(configuration, only: store, asOf: asOf, isTold: false)
    return WALFetch(repository: repository, cluster: cluster, until: until)
  }

  /// Threads that fetch ahead; each holds a segment and its object.
  private static var lanes: Int { min(max(ProcessInfo.processInfo.activeProcessorCount, 2), 4) }

  /// Begins to fetch what follows, where a server recovers here and nobody does so already.
  private func fetchAhead() {
    guard prefetch != nil, WALPrefetch.isWanted else { return }
    do {
      try WALPrefetch.start(Array(CommandLine.arguments.dropFirst()) + ["--ahead"])
    } catch {
      // Only speed is lost: each file is fetched when it is asked for.
      ErrorOutput.print(ErrorReport(error))
    }
  }
}
