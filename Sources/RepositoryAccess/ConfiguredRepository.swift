public import BackupModel
public import DaemonConfiguration
public import Repository
internal import Storage
public import Systemd
internal import Transfer

/// Reads the secrets that a configuration names.
struct SecretReader: Sendable {
  private let credentials: Credentials

  init(_ credentials: Credentials) { self.credentials = credentials }

  func read(_ source: SecretSource) throws -> Secret { try source.read { try credentials.read($0) } }

  func keys(_ sources: AWSKeySources) throws -> AWSKeys {
    AWSKeys(
      accessKey: try read(sources.accessKey).revealText(), secretKey: try read(sources.secretKey).revealText(),
      sessionToken: try sources.sessionToken.map { try read($0).revealText() })
  }
}

/// From the configuration's words to the repository's own: what both programs do before they touch a repository.
public enum ConfiguredRepository {
  /// - Parameter makingDirectories: For who creates a repository: directories that are missing are made.
  public static func stores(
    _ settings: RepositorySettings, _ credentials: Credentials, makingDirectories: Bool = false
  ) -> [RepositoryStore] {
    let secrets = SecretReader(credentials)
    return settings.stores.map { store in
      let objects: any ObjectStore =
        switch store.place {
        case .directory(let path): PosixStore(root: path, makesRoot: makingDirectories)
        case .s3(let place): s3(place, store, secrets)
        case .gcs(let place): gcs(place, store, secrets)
        case .sftp(let place): sftp(place, store, secrets, makesRoot: makingDirectories)
        }
      return RepositoryStore(
        id: store.id, objects: objects, durability: durability(store.durability), keep: store.keep)
    }
  }

  private static func durability(_ durability: StoreDurability) -> Durability {
    switch durability {
    case .required: .required
    case .eventual: .eventual
    case .onCopy: .onCopy
    }
  }

  private static func s3(_ place: S3Place, _ store: StoreSettings, _ secrets: SecretReader) -> S3Store {
    let settings = S3Settings(
      bucket: place.bucket, region: place.region, endpoint: place.endpoint, isPathStyle: place.isPathStyle,
      prefix: place.prefix, packClass: place.storageClass.packs, otherClass: place.storageClass.other,
      lock: store.lock.map { S3Lock(mode: mode($0.mode), period: $0.period) })
    return S3Store(
      settings, credentials: awsCredentials(place.credentials, secrets),
      pruneCredentials: place.pruneCredentials.map { awsCredentials($0, secrets) },
      options: options(store, certificates: place.certificateFile))
  }

  private static func mode(_ mode: ObjectLockMode) -> S3Lock.Mode {
    switch mode {
    case .governance: .governance
    case .compliance: .compliance
    }
  }

  static func awsCredentials(_ sources: AWSKeySources?, _ secrets: SecretReader) -> AWSCredentials {
    AWSCredentials(sources.map { sources in .configured { try secrets.keys(sources) } } ?? .automatic)
  }

  private static func options(_ store: StoreSettings, certificates: String?) -> HTTPClient.Options {
    var options = HTTPClient.Options()
    options.certificateFile = certificates
    options.patience = store.timeout
    options.limit = store.bandwidth.map { BandwidthLimit(rate: Int($0.value)) }
    return options
  }

  private static func gcs(_ place: GCSPlace, _ store: StoreSettings, _ secrets: SecretReader) -> GCSStore {
    let settings = GCSSettings(
      bucket: place.bucket, endpoint: place.endpoint, prefix: place.prefix, packClass: place.storageClass.packs,
      otherClass: place.storageClass.other)
    let source: GCPCredentialSource =
      switch place.credentials {
      case .automatic: .automatic
      case .none: .anonymous
      case .serviceAccount(let secret): .serviceAccount { try secrets.read(secret).reveal() }
      }
    return GCSStore(
      settings, credentials: GCPCredentials(source), options: options(store, certificates: place.certificateFile))
  }

  private static func sftp(
    _ place: SFTPPlace, _ store: StoreSettings, _ secrets: SecretReader, makesRoot: Bool
  ) -> SFTPStore {
    var passphrase: (@Sendable () throws -> Secret)?
    if let source = place.passphrase { passphrase = { try secrets.read(source) } }
    let settings = SFTPSettings(
      host: place.host, port: place.port, user: place.user, path: place.path, knownHostsFile: place.knownHostsFile,
      privateKeyFile: place.keyFile, passphrase: passphrase)
    return SFTPStore(settings, options: options(store, certificates: nil), makesRoot: makesRoot)
  }

  /// Removes what writers that died left in the stores' places for unfinished objects.
  /// - Throws: Why the first of those that could not be swept was not, once all others are.
  public static func sweep(_ repository: Repository) throws {
    var failure: (any Error)?
    for store in repository.allStores {
      do {
        try (store.objects as? PosixStore)?.sweep()
        try (store.objects as? SFTPStore)?.sweep()
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
  }

  /// Stores as they were at a moment, and why others are left out.
  /// - Throws: ``PastStoresMissing`` where no store can tell.
  public static func past(
    _ stores: [RepositoryStore], asOf moment: Timestamp
  ) throws -> (stores: [RepositoryStore], leftOut: [StoreID: ErrorReport]) {
    var found: [RepositoryStore] = []
    var leftOut: [StoreID: ErrorReport] = [:]
    for store in stores {
      do {
        found.append(
          RepositoryStore(
            id: store.id, objects: try store.objects.asOf(moment), durability: store.durability, keep: store.keep))
      } catch {
        leftOut[store.id] = ErrorReport(error)
      }
    }
    if found.isEmpty { throw PastStoresMissing(moment: moment, reasons: leftOut) }
    return (found, leftOut)
  }

  public static func open(_ settings: RepositorySettings, _ credentials: Credentials) throws -> Repository {
    try Repository.open(stores: stores(settings, credentials), unlocking: unlocking(settings, credentials))
  }
}
