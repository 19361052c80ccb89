import ArgumentParser
import BackupModel
import DaemonConfiguration
import Repository
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
    if let store { _ = try settings.store(named: store) }
    let stores = ConfiguredRepository.stores(settings, try shared.credentials())
    let results = stores.filter { store == nil || $0.id == store }.map(ProbeDocument.init)
    let one = store == nil ? nil : results.first?.json
    shared.show(one ?? .fields(["stores": JSONValue.array(results.map(\.json))])) {
      results.map(\.text).joined(separator: "\n\n")
    }
    if results.contains(where: { !$0.probe.isUsable }) { throw ExitCode(ExitStatus.failed) }
  }
}

/// What was found out about one store by using it.
struct ProbeDocument: JSONConvertible {
  var store: StoreID
  var location: String
  var probe: StoreProbe

  init(_ store: RepositoryStore) {
    self.store = store.id
    location = store.objects.location
    probe =
      (store.objects as? S3Store)?.probe() ?? (store.objects as? GCSStore)?.probe() ?? StoreProbe.run(store.objects)
  }

  var findings: JSONValue {
    .array(
      probe.findings.map {
        JSONValue.fields(["check": $0.check, "verdict": $0.verdict.rawValue, "detail": $0.detail])
      })
  }

  var json: JSONValue {
    .fields(["store": store, "location": location, "usable": probe.isUsable, "findings": findings])
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
