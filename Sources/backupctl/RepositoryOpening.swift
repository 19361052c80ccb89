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
  ///   - moment: Reads the stores as they were then; nil as they are.
  ///   - isTold: Whether stores that are left out are told of.
  static func open(
    _ settings: RepositorySettings, asOf moment: Timestamp?, isTold: Bool = true
  ) throws -> Repository {
    guard let moment else { return try open(settings) }
    let (stores, leftOut) = try ConfiguredRepository.past(
      ConfiguredRepository.stores(settings, credentials), asOf: moment)
    for (store, reason) in leftOut.sorted(by: { $0.key < $1.key }) where isTold {
      ErrorOutput.warn("store \"\(store)\" is left out: \(reason.summary)", hint: reason.hint)
    }
    return try Repository.open(stores: stores, unlocking: ConfiguredRepository.unlocking(settings, credentials))
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
