public import BackupModel
public import BlockingWork
public import KeyManagement
public import Storage

/// Whether a backup waits for a store.
public enum Durability: String, Sendable, Hashable, Codable {
  /// A backup is not done before it is there.
  case required
  /// Filled from the others as soon as it can be.
  case eventual
  /// Gets what jobs of kind `copy` put there, and nothing else.
  case onCopy = "on-copy"
}

/// A store under its configured name.
public struct RepositoryStore: Sendable {
  public let id: StoreID
  public let objects: any ObjectStore
  public let durability: Durability
  /// How long copies stay here; nil: as long as they are promised anywhere.
  public let keep: RetentionPolicy?
  public init(
    id: StoreID, objects: any ObjectStore, durability: Durability = .required, keep: RetentionPolicy? = nil
  ) {
    self.id = id
    self.objects = objects
    self.durability = durability
    self.keep = keep
  }

  /// What was asked of it so far; nil for a store on this host.
  public var requests: StoreRequests? {
    objects.counters.map(\.now).map {
      StoreRequests(
        store: id, requests: $0.requests, retries: $0.retries, sentBytes: ByteCount($0.sentBytes),
        receivedBytes: ByteCount($0.receivedBytes))
    }
  }

  /// As the only store there is.
  var alone: RepositoryStore { RepositoryStore(id: id, objects: objects) }

  /// The same, each call tried once.
  var once: RepositoryStore { RepositoryStore(id: id, objects: objects.once, durability: durability, keep: keep) }
}

/// Everything we keep, for all clusters of one daemon.
public struct Repository: Sendable {
  public let id: RepositoryID
  public let keys: KeyRing
  /// In the order of the configuration: reads ask the first that answers.
  public let stores: [RepositoryStore]
  /// Stores that hold copies for themselves. Nothing is read from them, and nothing waits for them.
  public let archives: [RepositoryStore]
  public var allStores: [RepositoryStore] { stores + archives }
  /// What one store could not give and another gave; nil where nobody looks.
  let log: ReadLog?
  /// Where spoilt objects are sought; nil where the stores are to be seen as they are.
  let hidden: HiddenVersions?
  let silent = UnheardStores()
  /// What is not in all of these is not done.
  public var required: [RepositoryStore] { stores.filter { $0.durability == .required } }

  init(
    id: RepositoryID, keys: KeyRing, stores: [RepositoryStore], log: ReadLog? = nil, hidden: HiddenVersions? = nil
  ) {
    self.id = id
    self.keys = keys
    self.log = log
    self.hidden = hidden
    let ordinary = Self.ordinary(stores)
    self.stores = ordinary
    archives = stores.filter { store in !ordinary.contains { $0.id == store.id } }
  }

  /// Those that are read from; where there are archives alone, such as when everything else is lost, these.
  private static func ordinary(_ stores: [RepositoryStore]) -> [RepositoryStore] {
    let ordinary = stores.filter { $0.durability != .onCopy }
    return ordinary.isEmpty ? stores.map(\.alone) : ordinary
  }

  /// What it is in one of its stores, archives among them; nil where there is none of this name.
  public func alone(in store: StoreID) -> Repository? {
    allStores.first { $0.id == store }.map { Repository(id: id, keys: keys, stores: [$0.alone]) }
  }

  /// The root document: `repository.json`.
  struct Root: Codable, Equatable {
    var format: Int
    var repository: RepositoryID
    var created: Timestamp
  }
  static let formatVersion = 1
  static let rootName = ObjectName(composed: "repository.json")

  /// Makes a repository in stores that are empty, for all recipients.
  /// - Throws: ``RepositoryError/alreadyExists(_:location:)``: a store that holds anything is never touched. `KeyError`,
  ///   `AWSKMSError` where one of the recipients cannot be used now.
  public static func create(
    in stores: [RepositoryStore], unlocking: Unlocking, cancellation: Cancellation
  ) throws -> Repository {
    for store in stores where try !isEmpty(store) {
      throw RepositoryError.alreadyExists(store.id, location: store.objects.location)
    }
    for store in stores { try store.requireLock() }
    let id = RepositoryID.random()
    let dataKey = try DataKey.random()
    let root = Root(format: formatVersion, repository: id, created: .now())
    let envelopes = try envelopes(of: dataKey, id, for: unlocking, cancellation)
    let rootBytes = try CheckedDocument.encodePlain(root)
    for store in stores {
      // The root comes last: a store is a repository when it has one, and then its key is there too.
      for envelope in envelopes {
        try CheckedDocument.encodePlain(envelope).withUnsafeBytes {
          try store.objects.put(envelopeName(dataKey.id, envelope.recipient), $0, cancellation: cancellation)
        }
      }
      try rootBytes.withUnsafeBytes { try store.objects.put(rootName, $0, cancellation: cancellation) }
    }
    let keys = KeyRing(repository: id, current: dataKey, recipient: envelopes[0].recipient)
    return Repository(id: id, keys: keys, stores: stores)
  }

  static func isEmpty(_ store: RepositoryStore) throws -> Bool {
    do {
      let listing = try store.objects.list(below: "")
      // A creation that was killed before its root leaves an envelope of a key that nothing is sealed with.
      return listing.objects.isEmpty && listing.prefixes.allSatisfy { ["keys", "tmp"].contains($0) }
    } catch let error as StorageError where error.retryMayHelp {
      // A directory that is not there yet is made by the first put; any other reason shows there too.
      return true
    }
  }

  /// Opens a repository: finds its root in a store and unlocks its data key with the first recipient that can.
  ///
  /// A store that does not answer or holds a damaged root is passed over; one of an unknown format is not. One without a
  /// root beside one with it is more often an unmounted disk than a new store: until it has the root it counts as one that
  /// does not answer.
  public static func open(stores all: [RepositoryStore], unlocking: Unlocking) throws -> Repository {
    let stores = ordinary(all)
    var (found, failures) = try roots(of: stores) { stores.count > 1 ? $0.once : $0 }
    if found.isEmpty, stores.count > 1 { (found, failures) = try roots(of: stores) { $0 } }
    guard let root = found.first?.root else {
      if failures.allSatisfy({ ($0.error as? StorageError)?.isMissing == true }) {
        throw RepositoryError.missingRepository(stores: stores.map(\.id))
      }
      if failures.count == 1, let error = failures[0].error as? RepositoryError { throw error }
      throw RepositoryError.unavailable(
        rootName, Dictionary(failures.map { ($0.store, ErrorReport($0.error)) }, uniquingKeysWith: { $1 }))
    }
    var unlocker = try KeyUnlocker(root, in: found.map(\.store), with: unlocking)
    let keys = try unlocker.keyRing()
    let rootless = Set(failures.filter { ($0.error as? StorageError)?.isMissing == true }.map(\.store))
    return Repository(
      id: root.repository, keys: keys,
      stores: all.map { rootless.contains($0.id) ? $0.waitingForRoot(of: root.repository) : $0 })
  }

  /// - Parameter view: How a store is asked.
  private static func roots(
    of stores: [RepositoryStore], as view: (RepositoryStore) -> RepositoryStore
  ) throws -> (found: [(store: RepositoryStore, root: Root)], failures: [(store: StoreID, error: any OperatorError)]) {
    var found: [(store: RepositoryStore, root: Root)] = []
    var failures: [(store: StoreID, error: any OperatorError)] = []
    for store in stores {
      do {
        let root = try readRoot(view(store))
        if let first = found.first, first.root.repository != root.repository {
          throw RepositoryError.differentRepositories(
            first.store.id, first.root.repository, store.id, root.repository)
        }
        found.append((store, root))
      } catch let error as StorageError {
        failures.append((store.id, error))
      } catch let error as RepositoryError {
        guard case .damaged = error else { throw error }
        failures.append((store.id, error))
      }
    }
    return (found, failures)
  }

  /// What it is without some of its stores.
  public func without(_ stores: Set<StoreID>) -> Repository {
    Repository(
      id: id, keys: keys, stores: allStores.filter { !stores.contains($0.id) }, log: log, hidden: hidden)
  }

  /// Read before the rest: another version may have any form.
  struct Format: Decodable { var format: Int }

  static func readRoot(_ store: RepositoryStore) throws -> Root {
    let bytes = try store.objects.readAll(rootName, limit: 1 << 20)
    do {
      let format = try CheckedDocument.decodePlain(Format.self, bytes).format
      guard format == formatVersion else {
        throw RepositoryError.formatUnknown(rootName.text, store.id, found: format, known: formatVersion)
      }
      return try CheckedDocument.decodePlain(Root.self, bytes)
    } catch let failure as CheckedDocument.Failure {
      throw RepositoryError.damaged(rootName, in: store.id, reason: reason(failure))
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
  /// Missing, unreadable and damaged objects are sought in the next store, and in the end, see ``seekingHidden()``, under
  /// what was put over them. Where none has it, a single store's own error is thrown, or
  /// ``RepositoryError/unavailable(_:_:)`` with the reasons of all.
  public func firstAnswer<Result>(
    for name: ObjectName, _ body: (RepositoryStore) throws -> Result
  ) throws -> Result {
    try Self.firstAnswer(in: stores, for: name, log: log, hidden: hidden, body)
  }

  /// - Parameters:
  ///   - log: Told of stores that did not give what another one gave.
  ///   - hidden: Asked where no store has the object whole.
  static func firstAnswer<Result>(
    in stores: [RepositoryStore], for name: ObjectName, log: ReadLog? = nil, hidden: HiddenVersions? = nil,
    _ body: (RepositoryStore) throws -> Result
  ) throws -> Result {
    var failures: [(store: RepositoryStore, error: any Error)] = []
    func tell() { for failure in failures { log?.note(name, failure.error, in: failure.store) } }
    func ask(_ store: RepositoryStore) throws -> Result? {
      do {
        let result = try body(store)
        tell()
        return result
      } catch let error where error is StorageError || error is RepositoryError {
        failures.append((store, error))
        return nil
      }
    }
    if stores.count > 1 {
      // Nobody waits for a store that is away while another has it.
      for store in stores { if let result = try ask(store.once) { return result } }
      failures = []
    }
    for store in stores { if let result = try ask(store) { return result } }
    if let result = try hidden?.firstAnswer(for: name, after: failures, body) {
      tell()
      return result
    }
    if failures.count == 1 { throw failures[0].error }
    // "Missing" may be said only where every store said it.
    if let missing = failures.first?.error as? StorageError,
      failures.allSatisfy({ ($0.error as? StorageError)?.isMissing == true })
    {
      throw missing
    }
    throw RepositoryError.unavailable(
      name, Dictionary(failures.map { ($0.store.id, ErrorReport($0.error)) }, uniquingKeysWith: { $1 }))
  }

  /// Opens a sealed object in the first store that has it whole.
  public func read<Result>(
    _ kind: ObjectKind, _ name: ObjectName, for use: SealedObjectReader.Use = .content,
    _ body: (SealedObjectReader) throws -> Result
  ) throws -> Result {
    try firstAnswer(for: name) { store in
      try body(SealedObjectReader(kind, name, in: store, keys: keys, for: use))
    }
  }

  /// One frame of an object that is open already; from another store where it does not open in this one.
  func read(_ frame: SealedObjectReader.Frame, of reader: SealedObjectReader) throws -> [UInt8] {
    do {
      return try reader.read(frame)
    } catch let error where error is StorageError || error is RepositoryError {
      if stores.count == 1, hidden == nil { throw error }
      // Every store holds the same bytes, so the frame lies at the same place.
      return try read(reader.kind, reader.name) { try $0.read(frame) }
    }
  }

  /// A builder for a sealed object of this repository.
  public func makeBuilder(_ kind: ObjectKind, _ name: ObjectName, buffer: SealedBuffer) throws -> SealedObjectBuilder {
    try SealedObjectBuilder(kind, name, repository: id, dataKey: keys.current, buffer: buffer)
  }

  /// A small document bound to its name by an HMAC: gaps, tombstones, leases.
  public func putDocument(
    _ value: some Encodable, _ name: ObjectName, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    let bytes = try CheckedDocument.encodeAuthentic(value, name: name.text, keys: keys.current)
    try bytes.withUnsafeBytes { try StoreWriter.put(name, $0, in: store, cancellation: cancellation) }
  }

  public func readDocument<Value: Decodable>(_ type: Value.Type, _ name: ObjectName) throws -> Value {
    try firstAnswer(for: name) { try readDocument(type, name, in: $0) }
  }

  /// As one store has it.
  func readDocument<Value: Decodable>(
    _ type: Value.Type, _ name: ObjectName, in store: RepositoryStore
  ) throws -> Value {
    let bytes = try store.objects.readAll(name, limit: 1 << 20)
    do {
      let key = try CheckedDocument.keyID(of: bytes)
      guard let dataKey = keys.dataKey(key) else { throw RepositoryError.keyMissing(name, in: store.id, key) }
      let format = try CheckedDocument.decodeAuthentic(Format.self, bytes, name: name.text, keys: dataKey).format
      guard format == Self.formatVersion else {
        throw RepositoryError.formatUnknown(name.text, store.id, found: format, known: Self.formatVersion)
      }
      return try CheckedDocument.decodeAuthentic(type, bytes, name: name.text, keys: dataKey)
    } catch let failure as CheckedDocument.Failure {
      throw RepositoryError.damaged(name, in: store.id, reason: Self.reason(failure))
    }
  }

  /// What each store lists below a prefix; one that does not answer is passed over where another does.
  /// - Throws: `StorageError` where none answers.
  func listings(below prefix: String) throws -> [(store: RepositoryStore, listing: Listing)] {
    var found: [(RepositoryStore, Listing)] = []
    // Nobody waits for a store that is away while another answers.
    if stores.count > 1 {
      for store in stores { if let listing = try glance(at: store, below: prefix) { found.append((store, listing)) } }
      if !found.isEmpty { return found }
    }
    var failure: (any Error)?
    for store in stores {
      do {
        found.append((store, try store.objects.list(below: prefix)))
        silent.heard(store.id)
      } catch let error as StorageError {
        _ = silent.note(store.id, error)
        failure = failure ?? error
      }
    }
    if found.isEmpty, let failure { throw failure }
    return found
  }

  func unorderedLineages(of cluster: ClusterID) throws -> Set<Lineage> {
    let names = try listings(below: "clusters/\(cluster)").flatMap(\.listing.prefixes)
    return Set(
      names.compactMap { try? SystemIdentifier($0) }.map { Lineage(cluster: cluster, systemIdentifier: $0) })
  }

  /// Clusters that any store knows, sorted.
  public func clusters() throws -> [ClusterID] {
    Set(try listings(below: "clusters").flatMap(\.listing.prefixes).compactMap { try? ClusterID($0) }).sorted()
  }
}
