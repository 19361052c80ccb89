import ArgumentParser
import BackupModel
import DaemonConfiguration
import RepositoryAccess

struct RepositoryPolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy", abstract: "Print the policy of AWS that gives keys the rights a store needs.",
    discussion: """
      For the daemon; for one whose keys cannot take anything away (append); for "prune-credentials", which only delete \
      (prune); for a host that only restores, also what was deleted (restore). The policy is JSON, as IAM takes it, or YAML with --yaml.
      """,
    example: "backupctl repository policy cloud --for restore")

  @Argument(help: "A store of kind s3.", completion: NameCompletion.stores, transform: parsing { try StoreID($0) })
  var store: StoreID
  @Option(
    name: .customLong("for"), help: "daemon, append, prune or restore.",
    completion: .list(StorePolicy.Role.allCases.map(\.rawValue)))
  var role = "daemon"
  @Flag(help: "YAML instead of JSON.")
  var yaml = false
  @OptionGroup var shared: SharedOptions

  func run() throws {
    guard let role = StorePolicy.Role(rawValue: role) else {
      throw UsageError(
        "there is no role \"\(role)\"",
        detail: "There are \(StorePolicy.Role.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    let settings = try shared.loadConfiguration().repository
    guard let entry = settings.stores.first(where: { $0.id == store }) else {
      throw UsageError(
        "there is no store \"\(store)\"",
        detail: "There are \(settings.stores.map(\.id.rawValue).joined(separator: ", ")).")
    }
    guard case .s3(let place) = entry.place else {
      throw UsageError("store \"\(store)\" is not in a bucket of S3", detail: "It is \(entry.place).")
    }
    let policy = StorePolicy(place, isLocking: entry.lock != nil, role)
    Output.write(yaml ? policy.yaml : policy.json)
  }
}
