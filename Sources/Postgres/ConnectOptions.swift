internal import CLibPQ

/// What is handed to libpq: the operator's connection string, our defaults below it and our demands above it.
struct ConnectOptions {
  private(set) var values: [String: String]
  /// Seconds an attempt may take at each host.
  private(set) var timeout: Int
  private(set) var hostCount: Int

  /// - Throws: ``PostgresError/connectionStringInvalid``.
  init(_ conninfo: String, purpose: Connection.Purpose, applicationName: String) throws(PostgresError) {
    var parsed = try Self.parse(conninfo)
    timeout = parsed["connect_timeout"].flatMap { Int($0) }.map { $0 <= 0 ? 10 : max($0, 2) } ?? 10
    let named = (parsed["host"] ?? "") + "|" + (parsed["hostaddr"] ?? "")
    hostCount = named.split(separator: "|").map { $0.split(separator: ",").count }.max() ?? 1
    // A peer that went away without a word is noticed within half a minute, not after the kernel's two hours.
    let defaults = [
      "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
      "tcp_user_timeout": "\(timeout * 1000)",
    ]
    parsed.merge(defaults) { operators, _ in operators }
    parsed["connect_timeout"] = "\(timeout)"
    parsed["client_encoding"] = "UTF8"
    parsed["application_name"] = applicationName
    parsed["replication"] = nil
    if purpose == .replication {
      parsed["replication"] = "true"
      // The name under which a password file lists such connections (libpq, "The Password File").
      parsed["dbname"] = "replication"
      parsed["options"] = [parsed["options"], "-c statement_timeout=0 -c idle_session_timeout=0"]
        .compactMap { $0 }.joined(separator: " ")
    }
    values = parsed
  }

  static func parse(_ conninfo: String) throws(PostgresError) -> [String: String] {
    var message: UnsafeMutablePointer<CChar>?
    let options = PQconninfoParse(conninfo, &message)
    if let message { PQfreemem(message) }
    guard let options else { throw .connectionStringInvalid }
    defer { PQconninfoFree(options) }
    var values: [String: String] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
      option += 1
    }
    return values
  }

  /// Calls libpq with keywords and values as it wants them: two arrays ended by NULL.
  func withCArrays<Result>(
    _ body: ([UnsafePointer<CChar>?], [UnsafePointer<CChar>?]) throws -> Result
  ) rethrows -> Result {
    let pairs = values.sorted { $0.key < $1.key }
    return try CStrings.with(pairs.map(\.key)) { keywords in
      try CStrings.with(pairs.map(\.value)) { values in try body(keywords, values) }
    }
  }
}
