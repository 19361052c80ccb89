import BackupModel
import DaemonConfiguration
import KeyManagement
import Repository
import RepositoryAccess
import Storage

/// Opens the repository that a configuration names; the daemon is not asked.
enum RepositoryOpening {
  static func open(_ settings: RepositorySettings) throws -> Repository {
    do {
      return try ConfiguredRepository.open(settings)
    } catch KeyError.keyFileMissing(let path) {
      // Before "repository create" there is neither key file nor repository; after it, the missing key file is what
      // matters.
      let stores = ConfiguredRepository.stores(settings)
      let root = ObjectName(composed: "repository.json")
      let hasRoot = stores.contains { (try? $0.objects.size(of: root)) ?? nil != nil }
      if hasRoot { throw KeyError.keyFileMissing(path) }
      throw RepositoryError.missingRepository(stores: stores.map(\.id))
    }
  }
}
