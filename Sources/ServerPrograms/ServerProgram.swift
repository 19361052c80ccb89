#if canImport(Glibc)
  import Glibc
#endif

/// Finds the programs of a major version of PostgreSQL.
public enum ServerProgram {
  /// - Parameter directory: Where the operator says they are; nil looks in the usual places.
  /// - Throws: ``ProgramError/missing(_:version:searched:)``.
  public static func find(_ name: String, version: Int, in directory: String?) throws -> String {
    var places: [String] = []
    if let directory {
      places = [directory]
    } else {
      if let value = getenv("BACKUPD_POSTGRES_BIN_\(version)") { places.append(String(cString: value)) }
      places += ["/usr/lib/postgresql/\(version)/bin", "/usr/pgsql-\(version)/bin"]
      let path = getenv("PATH").map { String(cString: $0) } ?? ""
      places += path.split(separator: ":").map(String.init)
    }
    for place in places {
      let program = place + "/" + name
      if access(program, X_OK) == 0, try self.version(of: program) == version { return program }
    }
    throw ProgramError.missing(name, version: version, searched: places)
  }

  /// As it names itself: `pg_dump (PostgreSQL) 15.20 (Debian …)`.
  public static func words(of program: String) throws -> String {
    String(try ProgramStart.output(of: program, ["--version"]).prefix { !$0.isNewline })
  }

  private static func version(of program: String) throws -> Int? {
    let words = try self.words(of: program).split(separator: " ")
    guard let index = words.firstIndex(of: "(PostgreSQL)"), index + 1 < words.count else { return nil }
    return Int(words[index + 1].prefix { $0.isNumber })
  }
}
