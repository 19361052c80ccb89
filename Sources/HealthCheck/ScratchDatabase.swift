internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Postgres
import Synchronization

/// A database that is made for one look at a dump and dropped in any case.
///
/// Its name is noted durably before it is made, so that one that a crash leaves is found and dropped. Only names that were
/// drawn here are ever dropped.
struct ScratchDatabase {
  /// How the server is to keep its text; nil leaves it to the server.
  struct Locale: Equatable {
    var words: String
  }

  static let prefix = "backupd_check_"
  private static let digits = 16
  private static let applicationName = "backupd check"

  /// Those of runs of this process: the daemon looks for left ones when it starts, and a run may have begun by then.
  private static let inUse = Mutex<Set<String>>([])

  let name: String
  private let note: String
  private let server: Secret
  private let cancellation: Cancellation

  /// - Parameters:
  ///   - server: libpq's; its role needs CREATEDB.
  ///   - directory: Where this job notes names.
  /// - Throws: ``HealthError/databaseNotMade(_:)``, `FileError`, `CancellationError`.
  init(_ server: Secret, locale: Locale?, notedIn directory: String, cancellation: Cancellation) throws {
    let name = Self.prefix + Hexadecimal.padded(.random(in: .min ... .max), digits: Self.digits)
    self.name = name
    self.server = server
    self.cancellation = cancellation
    note = directory + "/" + name
    Self.inUse.withLock { _ = $0.insert(name) }
    do {
      try make(locale, in: directory)
    } catch {
      Self.inUse.withLock { _ = $0.remove(name) }
      throw error
    }
  }

  private func make(_ locale: Locale?, in directory: String) throws {
    try DurableFile.makeDirectory(directory)
    try DurableFile.create(note, with: Array(try Self.words(of: server).utf8))
    let session = try Connection(
      server.revealText(), applicationName: Self.applicationName, cancellation: cancellation)
    defer { session.close() }
    let command = "CREATE DATABASE \(LibPQ.quoteIdentifier(name)) TEMPLATE template0 \(locale?.words ?? "")"
    do {
      try session.query(command, while: "make a scratch database")
    } catch let error as PostgresError {
      // A server that was lost may have made it: the note stays, and with it the next look.
      if session.isOpen { try DurableFile.remove(note) }
      throw HealthError.databaseNotMade(ErrorReport(error))
    }
  }

  /// Also when the run was cancelled: for that the way out has a cancellation of its own.
  /// - Throws: ``HealthError/databaseLeft(_:_:)``: the note stays.
  func drop() throws {
    defer { Self.inUse.withLock { _ = $0.remove(name) } }
    do {
      try Self.drop(name, on: server, Cancellation())
      try DurableFile.remove(note)
    } catch {
      throw HealthError.databaseLeft(name, ErrorReport(error))
    }
  }

  private static func drop(_ name: String, on server: Secret, _ cancellation: Cancellation) throws {
    let session = try Connection(server.revealText(), applicationName: applicationName, cancellation: cancellation)
    defer { session.close() }
    try session.query(
      "DROP DATABASE IF EXISTS \(LibPQ.quoteIdentifier(name)) WITH (FORCE)", while: "drop a scratch database")
  }

  /// Drops what earlier runs of a job left.
  /// - Returns: The names of those dropped.
  /// - Throws: ``HealthError/databaseLeft(_:_:)``, `FileError`, `CancellationError`.
  static func sweep(_ server: Secret, notedIn directory: String, _ cancellation: Cancellation) throws -> [String] {
    guard DurableFile.exists(directory) else { return [] }
    let words = try words(of: server)
    var dropped: [String] = []
    for name in try DurableFile.names(in: directory).sorted() where isName(name) {
      if inUse.withLock({ $0.contains(name) }) { continue }
      let note = directory + "/" + name
      let place = String(decoding: try DurableFile.read(note, limit: 1 << 16), as: UTF8.self)
      // Another server would say that there is none.
      guard place == words else {
        throw HealthError.databaseLeft(
          name,
          ErrorReport(
            summary: "it was made on a server that the job no longer names",
            detail: "\(place). Remove \"\(note)\" once it is dropped there."))
      }
      do {
        try drop(name, on: server, cancellation)
      } catch let error as PostgresError {
        throw HealthError.databaseLeft(name, ErrorReport(error))
      }
      try DurableFile.remove(note)
      dropped.append(name)
    }
    return dropped
  }

  private static func isName(_ text: String) -> Bool {
    text.hasPrefix(prefix) && text.utf8.count == prefix.utf8.count + digits
      && text.dropFirst(prefix.count).allSatisfy { $0.isHexDigit && !$0.isUppercase }
  }

  /// Which server it is, without any password.
  private static func words(of server: Secret) throws -> String {
    try ProgramConnection(server, applicationName: applicationName).words
  }

  /// What libpq connects to it with.
  func connection() throws -> Secret {
    try ProgramConnection(server, database: name, applicationName: Self.applicationName).complete
  }
}

extension ScratchDatabase.Locale {
  /// Of the database that was dumped, where the server still has it: text that it may hold fits into one of its kind.
  init?(of database: String, _ session: Connection) throws {
    let locale = session.serverVersion >= 170_000 ? "datlocale" : "daticulocale"
    let row = try session.query(
      """
      SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, datlocprovider, \(locale) AS locale
      FROM pg_database WHERE datname = $1
      """, [database], while: "read how a database keeps text")
    guard let encoding = row[0, "encoding"], let collate = row[0, "datcollate"], let type = row[0, "datctype"] else {
      return nil
    }
    var words = [("ENCODING", encoding), ("LC_COLLATE", collate), ("LC_CTYPE", type)]
    switch (row[0, "datlocprovider"], row[0, "locale"]) {
    case ("i", let name?): words += [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", name)]
    case ("b", let name?): words += [("LOCALE_PROVIDER", "builtin"), ("BUILTIN_LOCALE", name)]
    default: words += [("LOCALE_PROVIDER", "libc")]
    }
    self.words = words.map { "\($0.0) \(LibPQ.quoteLiteral($0.1))" }.joined(separator: " ")
  }
}
