import ArgumentParser
import BackupModel
import DaemonConfiguration
import RepositoryAccess

struct RepositoryPolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy", abstract: "Print the policy of AWS that gives keys the rights a store needs.",
    discussion: """
      For the daemon; for one whose keys cannot take anything away (append); for "prune-credentials", which only delete \
      (prune); for a host that only restores, also what was deleted (restore); for who runs "repository create" \
      (create). Those that open the repository may also use its keys of AWS KMS. The policy is JSON, as IAM takes it, or \
      YAML with --yaml.
      """,
    example: "backupctl repository policy --store cloud --for restore")

  @Option(
    help: "A store of kind s3; may be left out where there is only one.", completion: NameCompletion.stores,
    transform: parsing { try StoreID($0) })
  var store: StoreID?
  @Option(
    name: .customLong("for"), help: "daemon, append, prune, restore or create.",
    completion: .list(StorePolicy.Role.allCases.map(\.rawValue)))
  var role = "daemon"
  @Flag(help: "YAML instead of JSON.")
  var yaml = false
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if yaml, shared.json { throw ValidationError("Give either --json or --yaml.") }
  }

  func run() throws {
    guard let role = StorePolicy.Role(rawValue: role) else {
      throw UsageError(
        "there is no role \"\(role)\"",
        detail: "There are \(StorePolicy.Role.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    let settings = try shared.loadConfiguration().repository
    let (entry, place) = try bucket(settings)
    let keys = settings.encryption.recipients.compactMap { recipient in
      if case .awsKMS(let key) = recipient { key } else { nil }
    }
    let policy = StorePolicy(place, lock: entry.lock, keys: keys, role)
    Output.write(yaml ? policy.yaml : policy.json)
  }

  /// The store that is named, or the only one in a bucket of S3.
  private func bucket(_ settings: RepositorySettings) throws -> (StoreSettings, S3Place) {
    if let store {
      let entry = try settings.store(named: store)
      guard case .s3(let place) = entry.place else {
        throw UsageError("store \"\(store)\" is not in a bucket of S3", detail: "It is \(entry.place).")
      }
      return (entry, place)
    }
    let buckets = settings.stores.compactMap { entry in
      if case .s3(let place) = entry.place { (entry, place) } else { nil }
    }
    guard let only = buckets.first else {
      throw UsageError("no store is in a bucket of S3", detail: "Only such stores need a policy of AWS.")
    }
    guard buckets.count == 1 else {
      throw UsageError(
        "there are several stores in buckets of S3",
        detail: "Name one with --store: \(buckets.map(\.0.id.rawValue).joined(separator: ", ")).")
    }
    return only
  }
}
