internal import CLibPQ

/// Quoting and names, as replication commands need them: those know no parameters.
public enum LibPQ {
  /// `"name"`, with quotes inside doubled.
  public static func quoteIdentifier(_ name: String) -> String {
    "\"" + name.replacing("\"", with: "\"\"") + "\""
  }

  /// `'text'`, with quotes inside doubled: the replication grammar knows no backslash escapes.
  /// - SeeAlso: PostgreSQL source, `repl_scanner.l`.
  public static func quoteLiteral(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

  /// Whether the server would take the name: 1 to 63 lower-case letters, digits and underscores.
  /// - SeeAlso: PostgreSQL source, `slot.c`, `ReplicationSlotValidateName`.
  public static func isSlotName(_ name: String) -> Bool {
    (1...63).contains(name.utf8.count)
      && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
  }

  /// - Throws: ``PostgresError/slotNameInvalid(_:)``.
  public static func checkSlotName(_ name: String) throws(PostgresError) {
    guard isSlotName(name) else { throw .slotNameInvalid(name) }
  }
}
