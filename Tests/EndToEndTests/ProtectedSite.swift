import BackupModel
import Foundation
import TestSupport
import Testing

/// Sites whose repository lies in a bucket that keeps what is deleted, below a prefix.
enum ProtectedSite {
  typealias Keys = (key: String, secret: String)
  static let bucket = "protected"
  static let prefix = "pg/prod"

  static func run<Result>(
    _ database: PostgresServer, _ server: ObjectServer, _ kind: ObjectServer.BucketKind, alsoLocal: Bool = false,
    more: String = "", _ body: (BackupSite) throws -> Result
  ) throws -> Result {
    try server.makeBucket(bucket, kind)
    return try BackupSite.run(database, creating: false) { site in
      try configure(site, server, alsoLocal: alsoLocal, more: more)
      try site.succeed("repository", "create")
      return try body(site)
    }
  }

  /// - Parameters:
  ///   - keys: Nil takes those that may do anything.
  ///   - prune: For `prune-credentials`.
  ///   - more: Keys of the store after its place.
  static func configure(
    _ site: BackupSite, _ server: ObjectServer, keys: Keys? = nil, prune: Keys? = nil, alsoLocal: Bool = false,
    more: String = ""
  ) throws {
    func places(_ name: String, _ keys: Keys) throws -> String {
      for (part, value) in [("access", keys.key), ("secret", keys.secret)] {
        let path = "\(site.directory)/\(name)-\(part)"
        try value.write(toFile: path, atomically: false, encoding: .utf8)
        try ProgramUser.postgres.own(path)
        #expect(chmod(path, 0o600) == 0)
      }
      let start = "\(site.directory)/\(name)"
      return "\(name): {access-key: {file: \(start)-access}, secret-key: {file: \(start)-secret}}"
    }
    let owner = (key: server.facts["key"] ?? "", secret: server.facts["secret"] ?? "")
    let all = try [places("credentials", keys ?? owner)] + (prune.map { [try places("prune-credentials", $0)] } ?? [])
    let store = """
      cloud: {s3: {bucket: \(bucket), region: \(server.facts["region"] ?? "us-east-1"), endpoint: "\(server.endpoint)",
            prefix: \(prefix), \(all.joined(separator: ", "))}\(more)}
      """
    let local = "local: {path: \(site.store)}"
    try site.writeConfiguration(
      site.standardConfiguration.replacingOccurrences(of: local, with: alsoLocal ? "\(local)\n    \(store)" : store))
  }
}

extension Timestamp {
  /// Waits until everything that has been written is older than what is returned: servers tell times in whole seconds.
  static func nextSecond() throws -> Timestamp {
    let now = Timestamp.now()
    try Poll.until(.seconds(5), "the next second", every: .milliseconds(50)) {
      Timestamp.now().seconds > now.seconds + 1
    }
    return Timestamp(seconds: now.seconds + 1)
  }
}
