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
  /// Credentials lie where the service manager puts them for a command of a unit, or in its store.
  static let secrets = SecretReader { name in
    let directory = getenv("CREDENTIALS_DIRECTORY").map { ["CREDENTIALS_DIRECTORY": String(cString: $0)] }
    return try Credentials(environment: directory ?? [:]).read(name)
  }

  static func open(_ settings: RepositorySettings) throws -> Repository {
    do {
      return try ConfiguredRepository.open(settings, secrets)
    } catch KeyError.keyFileMissing(let path) {
      // Before "repository create" there is neither key file nor repository; after it, the missing key file is what
      // matters.
      let stores = ConfiguredRepository.stores(settings, secrets)
      let root = ObjectName(composed: "repository.json")
      let hasRoot = stores.contains { (try? $0.objects.size(of: root)) ?? nil != nil }
      if hasRoot { throw KeyError.keyFileMissing(path) }
      throw RepositoryError.missingRepository(stores: stores.map(\.id))
    }
  }
}
