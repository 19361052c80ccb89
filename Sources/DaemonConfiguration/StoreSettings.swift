public import BackupModel

/// When a backup counts as done with regard to one store.
public enum StoreDurability: String, Sendable, Hashable, CaseIterable {
  case required, eventual
  /// Filled by jobs of kind `copy` alone.
  case onCopy = "on-copy"
}

/// One of `repository.stores`.
public struct StoreSettings: Sendable, Hashable {
  public var id: StoreID
  public var place: StorePlace
  public var durability: StoreDurability
  /// How long copies stay in this store; nil: as long as they are promised anywhere.
  public var keep: RetentionPolicy?
  /// Bytes a second that go there and come from there; nil: as many as the line takes.
  public var bandwidth: ByteCount?
  /// How long a transfer may stand still.
  public var timeout: Duration
  /// How what is put is locked; only of a bucket of S3.
  public var lock: ObjectLockSettings?

  /// The secrets it names.
  var secrets: [Configuration.NamedSecret] {
    let key = "repository.stores.\(id)"
    func named(_ name: String, _ source: SecretSource) -> Configuration.NamedSecret {
      ("\(key).\(name)", source, "write the secret into it, with mode 0640")
    }
    switch place {
    case .directory: return []
    case .s3(let place):
      return [("credentials", place.credentials), ("prune-credentials", place.pruneCredentials)].flatMap { name, keys in
        guard let keys else { return [] as [Configuration.NamedSecret] }
        let token = keys.sessionToken.map { [named("s3.\(name).session-token", $0)] } ?? []
        return [
          named("s3.\(name).access-key", keys.accessKey), named("s3.\(name).secret-key", keys.secretKey),
        ] + token
      }
    case .gcs(let place):
      guard case .serviceAccount(let source) = place.credentials else { return [] }
      return [named("gcs.credentials", source)]
    case .sftp(let place): return place.passphrase.map { [named("sftp.passphrase", $0)] } ?? []
    }
  }

  /// Of a bucket.
  var storageClass: StorageClasses {
    switch place {
    case .s3(let place): place.storageClass
    case .gcs(let place): place.storageClass
    case .directory, .sftp: StorageClasses()
    }
  }

  /// The directory of a store that is one.
  public var path: String? {
    if case .directory(let path) = place { path } else { nil }
  }
}

/// Where a store is.
public enum StorePlace: Sendable, Hashable, CustomStringConvertible {
  case directory(String)
  case s3(S3Place)
  case gcs(GCSPlace)
  case sftp(SFTPPlace)

  public var description: String {
    switch self {
    case .directory(let path): "\"\(path)\""
    case .s3(let place): place.description
    case .gcs(let place): place.description
    case .sftp(let place): place.description
    }
  }
}

/// A bucket of Amazon S3, or of a server that speaks its protocol.
public struct S3Place: Sendable, Hashable, CustomStringConvertible {
  public var bucket: String
  public var region: String
  /// `https://host:port`; nil for Amazon's own.
  public var endpoint: String?
  /// Nil: where an endpoint is named.
  public var isPathStyle: Bool?
  /// Components before every name; empty for none.
  public var prefix: String
  public var storageClass: StorageClasses
  /// Nil: the environment, the shared file, or the instance's role.
  public var credentials: AWSKeySources?
  /// What deletions are signed with; nil: as everything else.
  public var pruneCredentials: AWSKeySources?
  /// Certificates to trust instead of the system's.
  public var certificateFile: String?

  public var description: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/" + prefix) }
}

/// A bucket of Google Cloud Storage.
public struct GCSPlace: Sendable, Hashable, CustomStringConvertible {
  /// Who asks.
  public enum Credentials: Sendable, Hashable {
    /// `GOOGLE_APPLICATION_CREDENTIALS`, or the machine's own account.
    case automatic
    /// The key file of a service account.
    case serviceAccount(SecretSource)
    /// Nobody: for emulators.
    case none
  }
  public var bucket: String
  /// `https://host:port`; nil for Google's own.
  public var endpoint: String?
  /// Components before every name; empty for none.
  public var prefix: String
  public var storageClass: StorageClasses
  public var credentials: Credentials
  /// Certificates to trust instead of the system's.
  public var certificateFile: String?

  public var description: String { "gs://\(bucket)" + (prefix.isEmpty ? "" : "/" + prefix) }
}

/// A directory of a host that is reached by SFTP.
public struct SFTPPlace: Sendable, Hashable, CustomStringConvertible {
  public var host: String
  public var port: Int
  public var user: String
  /// Absolute.
  public var path: String
  public var knownHostsFile: String
  /// Nil: the keys of the ssh agent.
  public var keyFile: String?
  /// Of the key file.
  public var passphrase: SecretSource?

  public var description: String { "sftp://\(user)@\(host)\(port == 22 ? "" : ":\(port)")\(path)" }
}

/// Storage classes by what is stored; nil for the bucket's own.
public struct StorageClasses: Sendable, Hashable {
  public var packs: String?
  /// Manifests, page maps and WAL: they must be readable at once.
  public var other: String?
}

/// Whether anybody may unlock before a lock ends.
public enum ObjectLockMode: String, Sendable, Hashable, CaseIterable { case governance, compliance }

/// How objects are locked when they are put.
public struct ObjectLockSettings: Sendable, Hashable {
  public var mode: ObjectLockMode
  public var period: Duration

  var text: String { "\(mode.rawValue) for \(DurationText.format(period))" }
}

/// Where the parts of an access key are kept.
public struct AWSKeySources: Sendable, Hashable {
  public var accessKey: SecretSource
  public var secretKey: SecretSource
  public var sessionToken: SecretSource?
}
