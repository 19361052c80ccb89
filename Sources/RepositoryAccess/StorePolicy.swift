public import DaemonConfiguration

/// The rights that the keys of a store in Amazon S3 need, as a policy of AWS IAM.
public struct StorePolicy: Sendable {
  public enum Role: String, Sendable, CaseIterable {
    /// Takes backups and WAL, and prunes.
    case daemon
    /// Takes backups and WAL, and cannot take any away.
    case append
    /// Only prunes.
    case prune
    /// Only restores.
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

  /// - SeeAlso: AWS, "Actions, resources, and condition keys for Amazon S3".
  public init(_ place: S3Place, _ role: Role) {
    let bucket = "arn:aws:s3:::\(place.bucket)"
    let start = place.prefix.isEmpty ? "" : place.prefix + "/"
    func objects(_ names: [String]) -> [String] { names.map { "\(bucket)/\(start)\($0)" } }
    var statements = [
      Statement(
        id: "List", actions: ["s3:ListBucket"], resources: [bucket],
        prefixes: start.isEmpty ? nil : [place.prefix, start + "*"]),
      Statement(id: "Read", actions: ["s3:GetObject"], resources: objects(["*"])),
    ]
    // What a lineage has besides backups and WAL: leases of whoever reads, and what is tried out.
    let passing = ["tmp/*", "clusters/*/leases/*"]
    switch role {
    case .daemon:
      statements.append(Statement(id: "Write", actions: ["s3:PutObject"], resources: objects(["*"])))
      statements.append(Statement(id: "Prune", actions: ["s3:DeleteObject"], resources: objects(["*"])))
    case .append:
      statements.append(Statement(id: "Write", actions: ["s3:PutObject"], resources: objects(["*"])))
      statements.append(
        Statement(id: "Tidy", actions: ["s3:DeleteObject"], resources: objects(passing + ["clusters/*/checkpoints/*"])))
    case .prune:
      statements.append(
        Statement(
          id: "Mark", actions: ["s3:PutObject"],
          resources: objects(passing + ["clusters/*/tombstones/*", "clusters/*/gaps/*"])))
      statements.append(Statement(id: "Prune", actions: ["s3:DeleteObject"], resources: objects(["*"])))
    case .restore:
      statements.append(
        Statement(id: "Lease", actions: ["s3:PutObject", "s3:DeleteObject"], resources: objects(passing)))
      if place.storageClass.packs?.hasPrefix("GLACIER") == true || place.storageClass.packs == "DEEP_ARCHIVE" {
        statements.append(
          Statement(id: "Thaw", actions: ["s3:RestoreObject"], resources: objects(["clusters/*/packs/*"])))
      }
    }
    self.statements = statements
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
