import BackupModel
import DaemonConfiguration
import KeyManagement
import Repository
import RepositoryAccess
import Storage
import Systemd

/// Opens the repository that a configuration names; the daemon is not asked.
struct RepositoryOpening {
  let settings: RepositorySettings
  let credentials: Credentials

  init(_ settings: RepositorySettings, _ shared: SharedOptions) throws {
    self.settings = settings
    credentials = try shared.credentials()
  }

  /// - Parameters:
  ///   - store: Only what this store holds counts, an on-copy one perhaps; nil for all that are read from.
  ///   - moment: Reads the stores as they were then; nil as they are.
  ///   - isTold: Whether stores that are left out are told of.
  func open(only store: StoreID? = nil, asOf moment: Timestamp? = nil, isTold: Bool = true) throws -> Repository {
    var settings = settings
    if let store { settings.stores = [try alone(store)] }
    guard let moment else { return try open(settings) }
    let (stores, leftOut) = try ConfiguredRepository.past(
      ConfiguredRepository.stores(settings, credentials), asOf: moment)
    for (store, reason) in leftOut.sorted(by: { $0.key < $1.key }) where isTold {
      ErrorOutput.warn("store \"\(store)\" is left out: \(reason.summary)", hint: reason.hint)
    }
    return try Repository.open(stores: stores, unlocking: ConfiguredRepository.unlocking(settings, credentials))
  }

  private func alone(_ store: StoreID) throws -> StoreSettings {
    var found = try settings.store(named: store)
    found.durability = .required
    found.keep = nil
    return found
  }

  private func open(_ settings: RepositorySettings) throws -> Repository {
    do {
      return try ConfiguredRepository.open(settings, credentials)
    } catch KeyError.keyFileMissing(let path) {
      // Before "repository create" there is neither key file nor repository; after it, the missing key file is what
      // matters; and of a server that does not say nobody knows. A directory may not be there yet.
      let stores = ConfiguredRepository.stores(settings, credentials)
      let root = ObjectName(composed: "repository.json")
      for store in stores {
        let size =
          store.objects is PosixStore
          ? (try? store.objects.size(of: root)) ?? nil : try store.objects.size(of: root)
        if size != nil { throw KeyError.keyFileMissing(path) }
      }
      throw RepositoryError.missingRepository(stores: stores.map(\.id))
    }
  }
}

extension RepositorySettings {
  func store(named id: StoreID) throws -> StoreSettings {
    if let found = stores.first(where: { $0.id == id }) { return found }
    throw UsageError(
      "there is no store \"\(id)\"", detail: "The stores are \(stores.map { "\"\($0.id)\"" }.joined(separator: ", ")).")
  }
}

extension SharedOptions {
  func openRepository(
    _ configuration: Configuration, only store: StoreID? = nil, asOf moment: Timestamp? = nil, isTold: Bool = true
  ) throws -> Repository {
    try RepositoryOpening(configuration.repository, self).open(only: store, asOf: moment, isTold: isTold)
  }
  /// The same for who reads backups and WAL: from older versions as well, where objects were spoilt.
  func openForReading(
    _ configuration: Configuration, only store: StoreID? = nil, asOf moment: Timestamp? = nil
  ) throws -> Repository {
    try openRepository(configuration, only: store, asOf: moment).seekingHidden()
  }
}
