import ArgumentParser
import BackupModel
import DaemonConfiguration
import RepositoryAccess
import Storage

struct RepositoryProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe", abstract: "Find out what a store really does, by using it.",
    discussion: """
      Writes, reads, lists and deletes a small object below "tmp/", and looks at what the server checks and what the \
      bucket is set to. Exit status 1 where something is missing without which it is no store.
      """,
    example: "backupctl repository probe cloud")

  @Argument(
    help: "One of the configuration's stores; all of them where none is named.", completion: NameCompletion.stores,
    transform: parsing { try StoreID($0) })
  var store: StoreID?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration().repository
    if let store, !settings.stores.contains(where: { $0.id == store }) {
      throw UsageError(
        "there is no store \"\(store)\"",
        detail: "There are \(settings.stores.map(\.id.rawValue).joined(separator: ", ")).")
    }
    let stores = ConfiguredRepository.stores(settings, RepositoryOpening.credentials)
    let results = stores.filter { store == nil || $0.id == store }.map { entry in
      let probe = (entry.objects as? S3Store)?.probe() ?? StoreProbe.run(entry.objects)
      return ProbeDocument(store: entry.id, location: entry.objects.location, probe: probe)
    }
    shared.show(JSONValue.array(results.map(\.json))) { results.map(\.text).joined(separator: "\n\n") }
    if results.contains(where: { !$0.probe.isUsable }) { throw ExitCode(ExitStatus.failed) }
  }
}

/// What `repository probe` tells of one store.
private struct ProbeDocument: JSONConvertible {
  var store: StoreID
  var location: String
  var probe: StoreProbe

  var json: JSONValue {
    let findings = probe.findings.map {
      JSONValue.fields(["check": $0.check, "verdict": $0.verdict.rawValue, "detail": $0.detail])
    }
    return .fields(["store": store, "location": location, "usable": probe.isUsable, "findings": findings])
  }

  var text: String {
    let lines = probe.findings.map { finding in
      let word =
        switch finding.verdict {
        case .yes: "yes".styled(.good)
        case .no: "no".styled(.warning)
        case .missing: "MISSING".styled(.bad)
        }
      return "  \(finding.check): \(word). \(finding.detail)"
    }
    return (["store \(store) in \(location)".styled(.strong)] + lines).joined(separator: "\n")
  }
}
