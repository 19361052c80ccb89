/// Which tables' rows a dump holds, as far as its options say so without asking the server.
struct DumpedTables: Equatable {
  /// With and without the schema they were named with; nil is all of a database.
  let names: Set<String>?

  /// Nil where nobody can tell: what is uncertain leads back to nothing.
  init?(selection: [String]) {
    func values(_ option: String) -> [String] {
      selection.filter { $0.hasPrefix(option + "=") }.map { String($0.dropFirst(option.count + 1)) }
    }
    if selection.contains("--schema-only") || !values("--schema").isEmpty { return nil }
    let excluded = values("--exclude-table")
    let tables = values("--table")
    guard !tables.isEmpty else {
      if !excluded.isEmpty { return nil }
      names = nil
      return
    }
    if !excluded.isEmpty { return nil }
    // A pattern may be meant for tables that are not there.
    let plain = tables.filter { name in !name.contains { "*?[](){}|+^$\\\"".contains($0) } }
    names = Set(plain + plain.compactMap { $0.split(separator: ".").last.map(String.init) })
  }
}
