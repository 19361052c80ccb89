import BackupModel
import DaemonConfiguration
import KeyManagement
import Repository
import RepositoryAccess
import Storage
import Systemd

#if canImport(Glibc)
  import Glibc
#endif

/// Opens the repository that a configuration names; the daemon is not asked.
enum RepositoryOpening {
  /// Of the service manager where it started us, otherwise of the host.
  static var credentials: Credentials {
    let directory = getenv("CREDENTIALS_DIRECTORY").map { ["CREDENTIALS_DIRECTORY": String(cString: $0)] }
    return Credentials(environment: directory ?? [:])
  }

  /// - Parameters:
  ///   - store: Only what this store holds counts, an on-copy one perhaps; nil for all that are read from.
  ///   - moment: Reads the stores as they were then; nil as they are.
  ///   - isTold: Whether stores that are left out are told of.
  static func open(
    _ settings: RepositorySettings, only store: StoreID? = nil, asOf moment: Timestamp?, isTold: Bool = true
  ) throws -> Repository {
    var settings = settings
    if let store { settings.stores = [try alone(store, of: settings)] }
    guard let moment else { return try open(settings) }
    let (stores, leftOut) = try ConfiguredRepository.past(
      ConfiguredRepository.stores(settings, credentials), asOf: moment)
    for (store, reason) in leftOut.sorted(by: { $0.key < $1.key }) where isTold {
      ErrorOutput.warn("store \"\(store)\" is left out: \(reason.summary)", hint: reason.hint)
    }
    return try Repository.open(stores: stores, unlocking: ConfiguredRepository.unlocking(settings, credentials))
  }

  private static func alone(_ store: StoreID, of settings: RepositorySettings) throws -> StoreSettings {
    guard var found = settings.stores.first(where: { $0.id == store }) else {
      throw UsageError(
        "there is no store \"\(store)\"",
        detail: "The stores are \(settings.stores.map { "\"\($0.id)\"" }.joined(separator: ", ")).")
    }
    found.durability = .required
    found.keep = nil
    return found
  }

  static func open(_ settings: RepositorySettings) throws -> Repository {
    do {
      return try ConfiguredRepository.open(settings, credentials)
    } catch KeyError.keyFileMissing(let path) {
      // Before "repository create" there is neither key file nor repository; after it, the missing key file is what
      // matters.
      let stores = ConfiguredRepository.stores(settings, credentials)
      let root = ObjectName(composed: "repository.json")
      let hasRoot = stores.contains { (try? $0.objects.size(of: root)) ?? nil != nil }
      if hasRoot { throw KeyError.keyFileMissing(path) }
      throw RepositoryError.missingRepository(stores: stores.map(\.id))
    }
  }
}
