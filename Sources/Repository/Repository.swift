public import BackupModel
public import BlockingWork
public import KeyManagement
public import Storage

/// Whether a backup waits for a store.
public enum Durability: String, Sendable, Hashable, Codable { case required }

/// A store under its configured name.
public struct RepositoryStore: Sendable {
  public let id: StoreID
  public let objects: any ObjectStore
  public let durability: Durability
  public init(id: StoreID, objects: any ObjectStore, durability: Durability = .required) {
    self.id = id
    self.objects = objects
    self.durability = durability
  }
}

/// The data keys of a repository by id.
public struct KeyRing: Sendable {
  public let repository: RepositoryID
  /// What new objects are sealed with.
  public let current: DataKey
  private let all: [KeyID: DataKey]

  init(repository: RepositoryID, current: DataKey, others: [DataKey] = []) {
    self.repository = repository
    self.current = current
    all = Dictionary((others + [current]).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
  }
  func dataKey(_ id: KeyID) -> DataKey? { all[id] }
}

/// Everything we keep, for all clusters of one daemon.
public struct Repository: Sendable {
  public let id: RepositoryID
  public let keys: KeyRing
  /// In the order of the configuration: reads ask the first that answers.
  public let stores: [RepositoryStore]

  /// The root document: `repository.json`.
  struct Root: Codable, Equatable {
    var format: Int
    var repository: RepositoryID
    var created: Timestamp
    /// The data key new objects are sealed with.
    var key: KeyID
  }
  static let formatVersion = 1
  static let rootName = ObjectName(composed: "repository.json")

  static func envelopeName(_ key: KeyID, _ recipient: String) -> ObjectName {
    ObjectName(composed: "keys/\(key)/\(recipient).json")
  }

  /// Makes a repository in stores that are empty.
  /// - Throws: ``RepositoryError/alreadyExists(_:location:)``: a store that holds anything is never touched.
  public static func create(
    in stores: [RepositoryStore], unlocking: Unlocking, cancellation: Cancellation
  ) throws -> Repository {
    for store in stores where try !isEmpty(store) {
      throw RepositoryError.alreadyExists(store.id, location: store.objects.location)
    }
    let id = RepositoryID.random()
    let dataKey = try DataKey.random()
    let root = Root(format: formatVersion, repository: id, created: .now(), key: dataKey.id)
    let envelope = try CheckedDocument.encodePlain(KeyEnvelope(dataKey, repository: id, for: unlocking))
    let rootBytes = try CheckedDocument.encodePlain(root)
    for store in stores {
      // The root comes last: a store is a repository when it has one, and then its key is there too.
      try envelope.withUnsafeBytes {
        try store.objects.put(envelopeName(dataKey.id, unlocking.recipient), $0, cancellation: cancellation)
      }
      try rootBytes.withUnsafeBytes { try store.objects.put(rootName, $0, cancellation: cancellation) }
    }
    return Repository(id: id, keys: KeyRing(repository: id, current: dataKey), stores: stores)
  }

  private static func isEmpty(_ store: RepositoryStore) throws -> Bool {
    do {
      let listing = try store.objects.list(below: "")
      return listing.objects.isEmpty && listing.prefixes.isEmpty
    } catch let error as StorageError where error.retryMayHelp {
      // A directory that is not there yet is made by the first put; any other reason shows there too.
      return true
    }
  }

  /// Opens a repository: finds its root in a store and unlocks its data key.
  public static func open(stores: [RepositoryStore], unlocking: Unlocking) throws -> Repository {
    var found: (store: RepositoryStore, root: Root)?
    var failures: [StoreID: ErrorReport] = [:]
    for store in stores {
      do {
        let root = try readRoot(store)
        if let first = found, first.root.repository != root.repository {
          throw RepositoryError.differentRepositories(
            first.store.id, first.root.repository, store.id, root.repository)
        }
        if found == nil { found = (store, root) }
      } catch let error as StorageError {
        failures[store.id] = ErrorReport(error)
      }
    }
    guard let found else {
      if failures.values.contains(where: { $0.detail != nil }) { throw RepositoryError.unavailable(rootName, failures) }
      throw RepositoryError.missingRepository(stores: stores.map(\.id))
    }
    let dataKey = try unlock(found.root, in: found.store, with: unlocking)
    let keys = KeyRing(repository: found.root.repository, current: dataKey)
    return Repository(id: found.root.repository, keys: keys, stores: stores)
  }

  private static func readRoot(_ store: RepositoryStore) throws -> Root {
    let bytes = try store.objects.readAll(rootName, limit: 1 << 20)
    let root: Root
    do {
      root = try CheckedDocument.decodePlain(Root.self, bytes)
    } catch {
      throw RepositoryError.damaged(rootName, in: store.id, reason: reason(error))
    }
    guard root.format == formatVersion else {
      throw RepositoryError.formatUnknown(rootName.text, store.id, found: root.format, known: formatVersion)
    }
    return root
  }

  private static func unlock(
    _ root: Root, in store: RepositoryStore, with unlocking: Unlocking
  ) throws -> DataKey {
    let name = envelopeName(root.key, unlocking.recipient)
    let bytes: [UInt8]
    do {
      bytes = try store.objects.readAll(name, limit: 1 << 20)
    } catch let error as StorageError where error.isMissing {
      let present = try store.objects.list(below: "keys/\(root.key)").objects.map {
        String($0.name.lastComponent.split(separator: ".").first ?? "")
      }
      throw KeyError.recipientMissing(wanted: unlocking.recipient, present: present)
    }
    do {
      let envelope = try CheckedDocument.decodePlain(KeyEnvelope.self, bytes)
      guard envelope.repository == root.repository, envelope.key == root.key else {
        throw KeyError.envelopeDamaged(name.text, reason: "It belongs to another repository or key.")
      }
      return try envelope.unlock(with: unlocking, name: name.text)
    } catch let failure as CheckedDocument.Failure {
      throw RepositoryError.damaged(name, in: store.id, reason: reason(failure))
    }
  }

  static func reason(_ failure: CheckedDocument.Failure) -> String {
    switch failure {
    case .malformed: "It is not a checked JSON document."
    case .changed: "Its check does not fit its content."
    case .content(let text): "Its content is not as expected: \(text)"
    }
  }

  /// Runs `body` on one store after another until one gives an answer.
  ///
  /// Missing, unreadable and damaged objects are sought in the next store. Where none has it, a single store's own
  /// error is thrown, or ``RepositoryError/unavailable(_:_:)`` with the reasons of all.
  public func firstAnswer<Result>(
    for name: ObjectName, _ body: (RepositoryStore) throws -> Result
  ) throws -> Result {
    var failures: [(StoreID, any Error)] = []
    for store in stores {
      do {
        return try body(store)
      } catch let error where error is StorageError || error is RepositoryError {
        failures.append((store.id, error))
      }
    }
    if failures.count == 1 { throw failures[0].1 }
    // "Missing" may be said only where every store said it.
    if let missing = failures.first?.1 as? StorageError,
      failures.allSatisfy({ ($0.1 as? StorageError)?.isMissing == true })
    {
      throw missing
    }
    throw RepositoryError.unavailable(
      name, Dictionary(failures.map { ($0.0, ErrorReport($0.1)) }, uniquingKeysWith: { $1 }))
  }

  /// Opens a sealed object in the first store that has it whole.
  public func read<Result>(
    _ kind: ObjectKind, _ name: ObjectName, _ body: (SealedObjectReader) throws -> Result
  ) throws -> Result {
    try firstAnswer(for: name) { store in
      try body(SealedObjectReader(kind, name, in: store, keys: keys))
    }
  }

  /// A builder for a sealed object of this repository.
  public func makeBuilder(_ kind: ObjectKind, _ name: ObjectName, buffer: SealedBuffer) throws -> SealedObjectBuilder {
    try SealedObjectBuilder(kind, name, repository: id, dataKey: keys.current, buffer: buffer)
  }

  /// A small document bound to its name by an HMAC: gaps, tombstones, leases.
  public func putDocument(_ value: some Encodable, _ name: ObjectName, cancellation: Cancellation) throws {
    let bytes = try CheckedDocument.encodeAuthentic(value, name: name.text, keys: keys.current)
    for store in stores {
      try bytes.withUnsafeBytes { try store.objects.put(name, $0, cancellation: cancellation) }
    }
  }

  public func readDocument<Value: Decodable>(_ type: Value.Type, _ name: ObjectName) throws -> Value {
    try firstAnswer(for: name) { store in
      let bytes = try store.objects.readAll(name, limit: 1 << 20)
      do {
        return try CheckedDocument.decodeAuthentic(type, bytes, name: name.text, keys: keys.current)
      } catch let failure as CheckedDocument.Failure {
        throw RepositoryError.damaged(name, in: store.id, reason: Self.reason(failure))
      }
    }
  }

  /// Lineages of a cluster that any store knows, in no particular order.
  /// - Throws: `StorageError` where a store does not answer.
  public func lineages(of cluster: ClusterID) throws -> [Lineage] {
    var found: Set<Lineage> = []
    for store in stores {
      for name in try store.objects.list(below: "clusters/\(cluster)").prefixes {
        guard let identifier = try? SystemIdentifier(name) else { continue }
        found.insert(Lineage(cluster: cluster, systemIdentifier: identifier))
      }
    }
    return found.sorted { $0.systemIdentifier < $1.systemIdentifier }
  }

  /// Clusters that any store knows, sorted.
  public func clusters() throws -> [ClusterID] {
    var found: Set<ClusterID> = []
    for store in stores {
      found.formUnion(try store.objects.list(below: "clusters").prefixes.compactMap { try? ClusterID($0) })
    }
    return found.sorted()
  }
}
