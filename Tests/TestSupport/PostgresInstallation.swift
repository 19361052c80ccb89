internal import FoundationEssentials

/// The programs of one PostgreSQL major version.
public struct PostgresInstallation: Sendable, Hashable {
  public var version: Int
  public var binDirectory: String

  /// The major versions the product supports, oldest first.
  public static let supported = [15, 16, 17, 18]

  /// Looks below `BACKUPD_TEST_PG` (a directory with `15/bin`, `16/bin`, …), by default below `/opt/pg`, then in
  /// Debian's place.
  /// - Throws: ``TestSupportError/postgresMissing(version:searched:)``: a missing version fails a test, it never skips one.
  public static func find(_ version: Int) throws -> PostgresInstallation {
    let prefix = ProcessInfo.processInfo.environment["BACKUPD_TEST_PG"] ?? "/opt/pg"
    let places = ["\(prefix)/\(version)/bin", "/usr/lib/postgresql/\(version)/bin"]
    for place in places where FileManager.default.isExecutableFile(atPath: place + "/postgres") {
      return PostgresInstallation(version: version, binDirectory: place)
    }
    throw TestSupportError.postgresMissing(version: version, searched: places)
  }

  /// The absolute path of `psql`, `pg_basebackup`, ….
  public func program(_ name: String) -> String { binDirectory + "/" + name }
}
