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
    let stores = ConfiguredRepository.stores(settings, RepositoryOpening.secrets, makingDirectories: true)
    var made = MadePaths(for: settings)
    let owner = try FileOwner.forRepository(owner, settings)
    // Before a key is made: a key file beside a repository that it does not open would mislead.
    let used = try stores.filter { try Self.holdsAnything($0) }
    if let first = used.first {
      let empty = stores.filter { store in !used.contains { $0.id == store.id } }
      if empty.isEmpty { throw RepositoryError.alreadyExists(first.id, location: first.objects.location) }
      let id = try Repository.add(
        empty, to: used, unlocking: ConfiguredRepository.unlocking(settings), cancellation: Interruption.cancellation())
      if let owner { try made.give(to: owner) }
      return reportAdded(id, settings.stores.filter { store in empty.contains { $0.id == store.id } })
    }
    let (unlocking, key) = try Self.unlocking(settings.encryption)
    if let key, key.isNew { made.add(key.file.path) }
    let repository = try Repository.create(
      in: stores, unlocking: unlocking, cancellation: Interruption.cancellation())
    if let owner {
      try made.give(to: owner)
    } else if FileOwner.isRoot {
      ErrorOutput.warn(
        "the files belong to root, and a daemon that runs as another user cannot use them",
        hint: "Give them away with \"chown -R USER PATH\", or name the user with --owner next time.")
    }
    if let owner, let key, !key.isNew, !owner.owns(key.file.path) {
      ErrorOutput.warn(
        "the key file does not belong to \(owner.name)", hint: "Run \"chown \(owner.name) \(key.file.path)\".")
    }
    report(repository, settings, key, owner)
  }

  private func reportAdded(_ repository: RepositoryID, _ stores: [StoreSettings]) {
    let document = JSONValue.fields([
      "repository": repository,
      "added": stores.map {
        JSONValue.fields(["name": $0.id, "path": $0.path, "location": $0.place.description])
      },
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
      return !listing.objects.isEmpty || !listing.prefixes.isEmpty
    } catch let error as StorageError where error.retryMayHelp {
      // Not there yet: made by the first write, which also tells of any other reason.
      return false
    }
  }

  private struct MadeKey {
    var file: KeyFile
    var isNew: Bool
  }

  private static func unlocking(_ encryption: RepositorySettings.Encryption) throws -> (Unlocking, MadeKey?) {
    guard case .keyFile(let path) = encryption else { return (.unwrapped, nil) }
    do {
      let file = try KeyFile.read(path)
      return (.keyFile(file), MadeKey(file: file, isNew: false))
    } catch KeyError.keyFileMissing {
      let file = try KeyFile.create(path)
      return (.keyFile(file), MadeKey(file: file, isNew: true))
    }
  }

  private func report(
    _ repository: Repository, _ settings: RepositorySettings, _ key: MadeKey?, _ owner: FileOwner?
  ) {
    let document = JSONValue.fields([
      "repository": repository.id, "encryption": key == nil ? "none" : "key-file", "keyFile": key?.file.path,
      "keyFileID": key?.file.id, "keyFileCreated": key.map { $0.isNew }, "owner": owner?.name,
      "stores": settings.stores.map {
        JSONValue.fields(["name": $0.id, "path": $0.path, "location": $0.place.description])
      },
    ])
    shared.show(document) {
      var lines = ["created repository \(repository.id)"]
      lines += settings.stores.map { "  store \($0.id) in \($0.place)" }
      if let owner { lines.append("  owned by \(owner.name)") }
      return (lines + [""] + Self.advice(key)).joined(separator: "\n")
    }
  }

  private static func advice(_ key: MadeKey?) -> [String] {
    guard let key else {
      return [
        "encryption is \"none\": whoever can read a store can read every backup in it.",
        "Damage is still found, and what was forged without access to the stores refused.",
      ]
    }
    return [
      "\(key.isNew ? "made" : "used") key file \"\(key.file.path)\", id \(key.file.id)",
      "Copy it now to a place that does not burn with this host: a password manager, a safe, another site.",
      "Without it no backup in this repository can be opened, by anybody, ever. It is not in the repository.",
    ]
  }
}
