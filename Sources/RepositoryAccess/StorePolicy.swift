internal import BackupModel
public import DaemonConfiguration

/// The rights that the keys of a store in Amazon S3 need, as a policy of AWS IAM.
public struct StorePolicy: Sendable {
  public enum Role: String, Sendable, CaseIterable {
    /// Takes backups and WAL, and prunes.
    case daemon
    /// Takes backups and WAL, and cannot take any away: what it deletes is deleted by `prune-credentials`, or elsewhere.
    case append
    /// Only deletes: for `prune-credentials`.
    case prune
    /// Only restores, also what was deleted.
    case restore
  }

  public struct Statement: Sendable {
    public var id: String
    public var actions: [String]
    public var resources: [String]
    /// `s3:prefix` is like one of these; nil for no condition.
    public var prefixes: [String]?
  }

  public let statements: [Statement]

  /// - Parameter isLocking: Whether the store has a `lock`.
  /// - SeeAlso: AWS, "Actions, resources, and condition keys for Amazon S3".
  public init(_ place: S3Place, isLocking: Bool, _ role: Role) {
    let scope = Scope(place)
    switch role {
    case .daemon:
      statements =
        scope.writing(isLocking) + [Statement(id: "Prune", actions: ["s3:DeleteObject"], scope.objects(["*"]))]
    case .append: statements = scope.writing(isLocking)
    case .prune: statements = [Statement(id: "Prune", actions: ["s3:DeleteObject"], scope.objects(["*"]))]
    case .restore: statements = scope.restoring(place.storageClass)
    }
  }

  /// The bucket and what of it belongs to the store.
  private struct Scope {
    let bucket: String
    private let start: String
    let prefixes: [String]?

    init(_ place: S3Place) {
      bucket = "arn:aws:s3:::\(place.bucket)"
      start = place.prefix.isEmpty ? "" : place.prefix + "/"
      prefixes = place.prefix.isEmpty ? nil : [place.prefix, place.prefix + "/*"]
    }

    func objects(_ names: [String]) -> [String] { names.map { "\(bucket)/\(start)\($0)" } }

    private var reading: [Statement] {
      [
        Statement(id: "List", actions: ["s3:ListBucket"], [bucket], prefixes: prefixes),
        Statement(id: "Read", actions: ["s3:GetObject"], objects(["*"])),
      ]
    }

    /// A server lets who puts with a lock, or is to see one, have rights of their own for that.
    func writing(_ isLocking: Bool) -> [Statement] {
      let lock = Statement(
        id: "Lock", actions: ["s3:PutObjectRetention", "s3:GetObjectRetention"], objects(["*"]))
      let settings = ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration"]
      return reading + [Statement(id: "Write", actions: ["s3:PutObject"], objects(["*"]))] + (isLocking ? [lock] : [])
        + [Statement(id: "Probe", actions: settings, [bucket])]
    }

    func restoring(_ classes: StorageClasses) -> [Statement] {
      var statements =
        reading + [
          // Leases, and what is tried out first. Ceph takes a star for one component where more follows it.
          Statement(
            id: "Lease", actions: ["s3:PutObject", "s3:DeleteObject"], objects(["tmp/*", "clusters/*/*/leases/*"])),
          Statement(id: "Past", actions: ["s3:ListBucketVersions"], [bucket], prefixes: prefixes),
          Statement(id: "PastObjects", actions: ["s3:GetObjectVersion"], objects(["*"])),
          Statement(id: "Versioning", actions: ["s3:GetBucketVersioning"], [bucket]),
        ]
      if let packs = classes.packs, StorageClass(packs).isCold {
        statements.append(Statement(id: "Thaw", actions: ["s3:RestoreObject"], objects(["clusters/*/*/packs/*"])))
      }
      return statements
    }
  }

  /// As IAM takes it.
  public var json: String {
    let texts = statements.map { statement in
      var fields = [
        "\"Sid\": \"\(statement.id)\"", "\"Effect\": \"Allow\"", "\"Action\": \(Self.list(statement.actions))",
        "\"Resource\": \(Self.list(statement.resources))",
      ]
      if let prefixes = statement.prefixes {
        fields.append("\"Condition\": {\"StringLike\": {\"s3:prefix\": \(Self.list(prefixes))}}")
      }
      return "    {\n      \(fields.joined(separator: ",\n      "))\n    }"
    }
    return "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n\(texts.joined(separator: ",\n"))\n  ]\n}"
  }

  /// As CloudFormation takes it.
  public var yaml: String {
    var lines = ["Version: \"2012-10-17\"", "Statement:"]
    for statement in statements {
      lines += ["  - Sid: \(statement.id)", "    Effect: Allow", "    Action:"]
      lines += statement.actions.map { "      - \($0)" }
      lines.append("    Resource:")
      lines += statement.resources.map { "      - \"\($0)\"" }
      if let prefixes = statement.prefixes {
        lines +=
          ["    Condition:", "      StringLike:", "        s3:prefix:"] + prefixes.map { "          - \"\($0)\"" }
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func list(_ words: [String]) -> String {
    "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
  }
}

extension StorePolicy.Statement {
  fileprivate init(id: String, actions: [String], _ resources: [String], prefixes: [String]? = nil) {
    self.init(id: id, actions: actions, resources: resources, prefixes: prefixes)
  }
}
