import ArgumentParser
import BackupModel
import DaemonConfiguration
import KeyManagement
import Repository
import RepositoryAccess
import Storage

struct RepositoryCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make the repository that the configuration describes, and its key file.",
    discussion: """
      The stores must be empty: what is there is never touched. Run as root, it gives what it makes to the owner of \
      the directory above, or to --owner.
      """, example: "backupctl repository create --owner postgres")

  @Option(
    help: "The user the daemon runs as, who will own the files; only root can choose another than itself.",
    completion: .shellCommand("getent passwd | cut -d: -f1"))
  var owner: String?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let settings = try shared.loadConfiguration().repository
    let credentials = try shared.credentials()
    let stores = ConfiguredRepository.stores(settings, credentials, makingDirectories: true)
    var made = MadePaths(for: settings)
    let owner = try FileOwner.forRepository(owner, settings)
    // Before a key is made: a key file beside a repository that it does not open would mislead.
    let used = try stores.filter { try Self.holdsAnything($0) }
    if let first = used.first {
      let empty = stores.filter { store in !used.contains { $0.id == store.id } }
      if empty.isEmpty { throw RepositoryError.alreadyExists(first.id, location: first.objects.location) }
      let probes = try Self.probe(empty)
      let id = try Repository.add(
        empty, to: used, unlocking: ConfiguredRepository.unlocking(settings, credentials),
        cancellation: Interruption.cancellation())
      if let owner { try made.give(to: owner) }
      return reportAdded(id, settings.stores.filter { store in empty.contains { $0.id == store.id } }, probes)
    }
    let probes = try Self.probe(stores)
    let making = try RecipientMaking(settings.encryption, credentials)
    for key in making.keys where key.isNew { made.add(key.file.path) }
    let repository = try Repository.create(
      in: stores, unlocking: making.unlocking, cancellation: Interruption.cancellation())
    if let owner {
      try made.give(to: owner)
    } else if FileOwner.isRoot {
      ErrorOutput.warn(
        "the files belong to root, and a daemon that runs as another user cannot use them",
        hint: "Give them away with \"chown -R USER PATH\", or name the user with --owner next time.")
    }
    if let owner {
      for key in making.keys where !key.isNew && !owner.owns(key.file.path) {
        ErrorOutput.warn(
          "the key file does not belong to \(owner.name)", hint: "Run \"chown \(owner.name) \(key.file.path)\".")
      }
    }
    try report(repository, settings, making, owner, probes)
  }

  /// What each store really does; what would be missed later is said now.
  private static func probe(_ stores: [RepositoryStore]) throws -> [StoreID: ProbeDocument] {
    // A directory does what a file system does, and may not be there yet.
    let probes = stores.filter { $0.objects is S3Store || $0.objects is GCSStore }.map(ProbeDocument.init)
    if let bad = probes.first(where: { !$0.probe.isUsable }) { throw StoreUnusable(probe: bad) }
    for found in probes {
      for finding in found.probe.findings where finding.verdict == .no {
        ErrorOutput.warn("store \"\(found.store)\": \(finding.detail)")
      }
    }
    return Dictionary(probes.map { ($0.store, $0) }, uniquingKeysWith: { $1 })
  }

  private static func document(_ store: StoreSettings, _ probes: [StoreID: ProbeDocument]) -> JSONValue {
    .fields([
      "name": store.id, "path": store.path, "location": store.place.description,
      "findings": probes[store.id]?.findings,
    ])
  }

  private func reportAdded(
    _ repository: RepositoryID, _ stores: [StoreSettings], _ probes: [StoreID: ProbeDocument]
  ) {
    let document = JSONValue.fields([
      "repository": repository, "added": stores.map { Self.document($0, probes) },
    ])
    shared.show(document) {
      (["repository \(repository) has new stores"] + stores.map { "  store \($0.id) in \($0.place)" } + [
        "", "The daemon fills them from the others; \"backupctl status\" tells what they lack.",
      ]).joined(separator: "\n")
    }
  }

  private static func holdsAnything(_ store: RepositoryStore) throws -> Bool {
    do {
      let listing = try store.objects.list(below: "")
      // What was tried out leaves objects below tmp/ where it may not delete them.
      return !listing.objects.isEmpty || listing.prefixes.contains { $0 != "tmp" }
    } catch let error as StorageError where error.retryMayHelp {
      // Not there yet: made by the first write, which also tells of any other reason.
      return false
    }
  }

  private func report(
    _ repository: Repository, _ settings: RepositorySettings, _ making: RecipientMaking, _ owner: FileOwner?,
    _ probes: [StoreID: ProbeDocument]
  ) throws {
    let key = making.keys.first
    let recipients = try RecipientInfo.all(of: repository, settings)
    let document = JSONValue.fields([
      "repository": repository.id, "encryption": settings.encryption.kind, "keyFile": key?.file.path,
      "keyFileID": key?.file.id, "keyFileCreated": key.map { $0.isNew }, "owner": owner?.name,
      "recipients": recipients.json,
      "stores": settings.stores.map { Self.document($0, probes) },
    ])
    shared.show(document) {
      var lines = ["created repository \(repository.id)"]
      lines += settings.stores.map { "  store \($0.id) in \($0.place)" }
      if let owner { lines.append("  owned by \(owner.name)") }
      return (lines + [""] + making.advice).joined(separator: "\n")
    }
  }
}

/// Nothing is made in a store that could not be used.
private struct StoreUnusable: OperatorError {
  var probe: ProbeDocument
  var summary: String { "store \"\(probe.store)\" in \(probe.location) cannot be used" }
  var detail: String? {
    probe.probe.findings.filter { $0.verdict == .missing }.map { "\($0.check): \($0.detail)" }.joined(separator: " ")
  }
  var hint: String? { "Mend that, and look with \"backupctl repository probe \(probe.store)\"." }
}
