extension PostgresError {
  /// The error for what the server answered to a command.
  /// - SeeAlso: PostgreSQL documentation, "PostgreSQL Error Codes".
  static func answered(
    _ message: ServerMessage, while action: String, slot: String? = nil, _ server: ServerAddress
  ) -> PostgresError {
    switch (message.sqlState, slot) {
    case ("57P01", _), ("57P02", _), ("57P03", _), ("57P05", _), ("08P01", _), ("08006", _):
      .connectionLost(server, while: action, reason: message.facts)
    case ("53400", _) where slot != nil: .slotUnavailable(server, reason: message.facts)
    case ("42704", let slot?): .slotMissing(slot, server)
    case ("42710", let slot?): .slotExists(slot, server)
    case ("55006", let slot?): .slotInUse(slot, server, reason: message.facts)
    case ("55000", let slot?) where action == WALStream.action:
      .slotInvalidated(slot, server, reason: message.facts)
    // A missing file while WAL is streamed is a segment the server has removed (walsender.c, errcode_for_file_access).
    case ("58P01", _) where action == WALStream.action: .walRemoved(server, reason: message.facts)
    default: .refused(message, while: action, server)
    }
  }

  /// The error for a connection that did not come about. `text` is libpq's message in its verbose form, which
  /// carries the SQLSTATE; libpq has no other way to tell it.
  static func connecting(_ text: String, purpose: Connection.Purpose, _ server: ServerAddress) -> PostgresError {
    let failure = ConnectFailure(text)
    return switch failure.sqlState {
    case "28P01": .authenticationFailed(server, reason: failure.reason)
    case "28000": .notAdmitted(server, purpose, reason: failure.reason)
    case "3D000": .databaseMissing(server)
    case "42501" where purpose == .replication: .replicationAttributeMissing(role: server.user, server)
    case "53300" where purpose == .replication: .walSenderUnavailable(server, reason: failure.reason)
    case "53300": .connectionSlotUnavailable(server, reason: failure.reason)
    case "57P01", "57P02", "57P03": .serverNotReady(server, reason: failure.reason)
    // libpq gives up by itself where the server wants a password and there is none.
    case nil where text.contains("no password supplied"): .authenticationFailed(server, reason: failure.reason)
    case nil: .serverAway(server, reason: failure.reason)
    case let state?:
      .refused(
        ServerMessage(severity: "FATAL", sqlState: state, message: failure.reason), while: "connect to", server)
    }
  }
}

/// Reads libpq's verbose connection error: `… failed: FATAL:  28P01: password authentication failed …` and a line
/// that begins with `LOCATION:`.
struct ConnectFailure {
  var sqlState: String?
  var reason: String

  init(_ text: String) {
    var kept: [String] = []
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("LOCATION:") {
      var line = String(line)
      if let state = Self.sqlState(in: line) {
        sqlState = state
        if let range = line.firstRange(of: state + ": ") { line.removeSubrange(range) }
      }
      kept.append(line.split(whereSeparator: \.isWhitespace).joined(separator: " "))
    }
    let joined = kept.joined(separator: " ")
    let first = joined.prefix(1).uppercased() + joined.dropFirst()
    reason = first.isEmpty ? "libpq gives no reason." : first + (first.hasSuffix(".") ? "" : ".")
  }

  /// Five upper-case letters or digits between the severity (`FATAL:  `) and a colon.
  private static func sqlState(in line: String) -> String? {
    for part in line.split(separator: ":").dropFirst() where part.hasPrefix("  ") && part.utf8.count == 7 {
      let state = part.dropFirst(2)
      if state.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }) { return String(state) }
    }
    return nil
  }
}
