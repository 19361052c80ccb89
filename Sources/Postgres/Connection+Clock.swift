public import BackupModel

extension Connection {
  /// What time the server thinks it is, now.
  /// - Throws: ``PostgresError``.
  public func serverTime() throws -> Timestamp {
    let answer = try query(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", while: "ask for the time of"
    ).scalar
    guard let microseconds = answer.flatMap({ Int64($0) }) else {
      throw protocolViolation("It does not say what time it is.")
    }
    return Timestamp(microseconds: microseconds)
  }
}
