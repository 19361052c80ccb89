internal import BackupModel
public import DaemonConfiguration
internal import Transfer

/// The rights that the keys of a store in Amazon S3 need, and those to open the data key, as a policy of AWS IAM.
public struct StorePolicy: Sendable {
  public enum Role: String, Sendable, CaseIterable {
    /// Makes the repository: the only one that wraps its data key.
    case create
    /// Takes backups and WAL, and prunes.
    case daemon
    /// Takes backups and WAL, and cannot take any away: what it deletes is deleted by `prune-credentials`, or elsewhere.
    case append
    /// Only deletes: for `prune-credentials`.
    case prune
    /// Only restores, also what was deleted.
    case restore
  }

  public struct Condition: Sendable {
    /// Such as `StringLike`.
    public var test: String
    public var key: String
    public var values: [String]
  }

  public struct Statement: Sendable {
    public var id: String
    public var actions: [String]
    public var resources: [String]
    public var conditions: [Condition] = []
    /// A right that no other statement gives back.
    public var isDenial = false
  }

  public let statements: [Statement]

  /// - Parameters:
  ///   - lock: The store's `lock`.
  ///   - keys: The recipients in AWS KMS that the data key is wrapped for.
  /// - SeeAlso: AWS, "Actions, resources, and condition keys for Amazon S3"; the same for AWS KMS.
  public init(_ place: S3Place, lock: ObjectLockSettings?, keys: [AWSKMSSettings], _ role: Role) {
    let scope = Scope(place)
    let prune = Statement(id: "Prune", actions: ["s3:DeleteObject"], resources: scope.objects(["*"]))
    let objects =
      switch role {
      case .create, .append: scope.writing(lock)
      case .daemon: scope.writing(lock) + [prune]
      case .prune: [prune]
      case .restore: scope.restoring(place.storageClass)
      }
    let actions: [String] =
      switch role {
      case .create: ["kms:Encrypt", "kms:Decrypt"]
      case .daemon, .append, .restore: ["kms:Decrypt"]
      case .prune: []
      }
    statements = objects + (actions.isEmpty ? [] : keys.enumerated().map { Self.key($1, "Key\($0 + 1)", actions) })
  }

  /// Only for data keys of ours: all of them are wrapped with this encryption context.
  ///
  /// An alias is no resource of these actions; the keys that have it are named by a condition.
  /// - SeeAlso: AWS KMS, "Use aliases to control access to KMS keys"; "Condition keys for AWS KMS".
  private static func key(_ key: AWSKMSSettings, _ id: String, _ actions: [String]) -> Statement {
    var conditions = [Condition(test: "Null", key: "kms:EncryptionContext:backupd-repository", values: ["false"])]
    var resource = key.key
    if !resource.hasPrefix("arn:") {
      let name = resource.hasPrefix("alias/") ? resource : "key/\(resource)"
      resource = "arn:\(AWSRegion.partition(of: key.region)):kms:\(key.region):*:\(name)"
    }
    if let alias = resource.range(of: ":alias/") {
      let name = String(resource[alias.lowerBound...].dropFirst())
      conditions.append(Condition(test: "ForAnyValue:StringEquals", key: "kms:ResourceAliases", values: [name]))
      resource = "\(resource[..<alias.lowerBound]):key/*"
    }
    return Statement(id: id, actions: actions, resources: [resource], conditions: conditions)
  }

  /// The bucket and what of it belongs to the store.
  private struct Scope {
    private let bucket: String
    private let start: String
    private let ownPart: [Condition]
    private let isAmazon: Bool

    init(_ place: S3Place) {
      bucket = "arn:\(AWSRegion.partition(of: place.region)):s3:::\(place.bucket)"
      start = place.prefix.isEmpty ? "" : place.prefix + "/"
      isAmazon = place.endpoint == nil
      let prefixes = [place.prefix, place.prefix + "/*"]
      ownPart = place.prefix.isEmpty ? [] : [Condition(test: "StringLike", key: "s3:prefix", values: prefixes)]
    }

    func objects(_ names: [String]) -> [String] { names.map { "\(bucket)/\(start)\($0)" } }

    private var reading: [Statement] {
      [
        Statement(id: "List", actions: ["s3:ListBucket"], resources: [bucket], conditions: ownPart),
        Statement(id: "Read", actions: ["s3:GetObject"], resources: objects(["*"])),
      ]
    }

    /// A server lets who puts with a lock, or is to see one, have rights of their own for that.
    func writing(_ lock: ObjectLockSettings?) -> [Statement] {
      let settings = ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration"]
      var statements = reading + [Statement(id: "Write", actions: ["s3:PutObject"], resources: objects(["*"]))]
      if isAmazon { statements.append(noOverwriting) }
      if let lock {
        let actions = ["s3:PutObjectRetention", "s3:GetObjectRetention"]
        statements += [Statement(id: "Lock", actions: actions, resources: objects(["*"])), noLongerLock(lock)]
      }
      return statements + [Statement(id: "Probe", actions: settings, resources: [bucket])]
    }

    /// Other servers do not know this condition, and would refuse every put.
    /// - SeeAlso: AWS, "Enforce conditional writes on Amazon S3 buckets".
    private var noOverwriting: Statement {
      Statement(
        id: "NoOverwriting", actions: ["s3:PutObject"],
        resources: objects(["repository.json", "keys/*", "clusters/*"]),
        conditions: [Condition(test: "Null", key: "s3:if-none-match", values: ["true"])], isDenial: true)
    }

    /// What is locked cannot be got rid of, and is paid for: a thief must not lock it for a hundred years. Servers that do
    /// not know the condition ignore a denial.
    /// - SeeAlso: AWS, "Locking objects with Object Lock", "Setting limits on retention periods".
    private func noLongerLock(_ lock: ObjectLockSettings) -> Statement {
      // A day that has begun counts.
      let days = lock.period.components.seconds / 86400 + 1
      return Statement(
        id: "NoLongerLock", actions: ["s3:PutObjectRetention"], resources: objects(["*"]),
        conditions: [
          Condition(
            test: "NumericGreaterThan", key: "s3:object-lock-remaining-retention-days", values: ["\(days)"])
        ], isDenial: true)
    }

    func restoring(_ classes: StorageClasses) -> [Statement] {
      var statements =
        reading + [
          // Leases, and what is tried out first. Ceph takes a star for one component where more follows it.
          Statement(
            id: "Lease", actions: ["s3:PutObject", "s3:DeleteObject"],
            resources: objects(["tmp/*", "clusters/*/*/leases/*"])),
          Statement(id: "Past", actions: ["s3:ListBucketVersions"], resources: [bucket], conditions: ownPart),
          Statement(id: "PastObjects", actions: ["s3:GetObjectVersion"], resources: objects(["*"])),
          Statement(id: "Versioning", actions: ["s3:GetBucketVersioning"], resources: [bucket]),
        ]
      if let packs = classes.packs, StorageClass(packs).isCold {
        statements.append(
          Statement(id: "Thaw", actions: ["s3:RestoreObject"], resources: objects(["clusters/*/*/packs/*"])))
      }
      return statements
    }
  }
}

extension StorePolicy.Statement {
  fileprivate var effect: String { isDenial ? "Deny" : "Allow" }
}

extension StorePolicy {
  /// As IAM takes it.
  public var json: String {
    let texts = statements.map { statement in
      var fields = [
        "\"Sid\": \"\(statement.id)\"", "\"Effect\": \"\(statement.effect)\"",
        "\"Action\": \(Self.list(statement.actions))", "\"Resource\": \(Self.list(statement.resources))",
      ]
      if !statement.conditions.isEmpty {
        let conditions = statement.conditions.map { "\"\($0.test)\": {\"\($0.key)\": \(Self.list($0.values))}" }
        fields.append("\"Condition\": {\(conditions.joined(separator: ", "))}")
      }
      return "    {\n      \(fields.joined(separator: ",\n      "))\n    }"
    }
    return "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n\(texts.joined(separator: ",\n"))\n  ]\n}"
  }

  /// As CloudFormation takes it.
  public var yaml: String {
    var lines = ["Version: \"2012-10-17\"", "Statement:"]
    for statement in statements {
      lines += ["  - Sid: \(statement.id)", "    Effect: \(statement.effect)", "    Action:"]
      lines += statement.actions.map { "      - \($0)" }
      lines.append("    Resource:")
      lines += statement.resources.map { "      - \"\($0)\"" }
      if !statement.conditions.isEmpty { lines.append("    Condition:") }
      for condition in statement.conditions {
        lines += ["      \"\(condition.test)\":", "        \"\(condition.key)\":"]
        lines += condition.values.map { "          - \"\($0)\"" }
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func list(_ words: [String]) -> String {
    "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
  }
}
