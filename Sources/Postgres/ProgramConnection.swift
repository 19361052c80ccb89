public import BackupModel

/// How PostgreSQL's own programs reach a server: words for their command line, which everybody on the host can read, and
/// what only the program may see.
public struct ProgramConnection: Sendable {
  /// For `--dbname`: a connection string without the password.
  public let words: String
  /// For the program's environment alone.
  public let environment: [String: String]
  /// With the password; for ``Connection``.
  public let complete: Secret
  /// The database named; nil where libpq chooses.
  public let database: String?

  /// - Parameters:
  ///   - database: In the place of the one the string names.
  ///   - applicationName: Seen in `pg_stat_activity`.
  /// - Throws: ``PostgresError/connectionStringInvalid``.
  public init(_ conninfo: Secret, database: String? = nil, applicationName: String) throws {
    var values = try ConnectOptions.parse(conninfo.revealText())
    if let database { values["dbname"] = database }
    // What a program takes for a connection string again is quoted as one.
    self.database = values["dbname"]
    complete = Secret(Self.text(values))
    values["application_name"] = applicationName
    let password = values.removeValue(forKey: "password")
    let certificate = values.removeValue(forKey: "sslpassword")
    words = Self.text(values)
    // There is no variable for the password of a certificate's key.
    guard certificate == nil else { throw PostgresError.connectionStringInvalid }
    environment = password.map { ["PGPASSWORD": $0] } ?? [:]
  }

  private static func text(_ values: [String: String]) -> String {
    values.sorted { $0.key < $1.key }.map { key, value in
      "\(key)='" + value.map { $0 == "\\" || $0 == "'" ? "\\\($0)" : String($0) }.joined() + "'"
    }.joined(separator: " ")
  }
}
