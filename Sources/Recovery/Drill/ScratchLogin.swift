internal import BackupModel
internal import BlockingWork
internal import Postgres

/// How a drill connects to its server: as a superuser, without what a role or database would load or start.
struct ScratchLogin {
  let database: String
  let user: String
  private let socketDirectory: String
  private let version: Int

  /// Finds a superuser: the role the daemon uses, `postgres`, or the daemon's user; where none of them is one, any of
  /// them can tell who is.
  /// - Throws: ``DrillError/noSuperuser(_:)``, `CancellationError`.
  init(
    _ names: LoginNames, socketDirectory: String, version: Int, systemUser: String, _ cancellation: Cancellation
  ) throws {
    self.socketDirectory = socketDirectory
    self.version = version
    database = names.database ?? names.user ?? systemUser
    var failure: (any Error)?
    let candidates = [names.user, "postgres", systemUser].compactMap { $0 }
    for overriding in [true, false] {
      for candidate in candidates {
        do {
          let words = Self.words(candidate, "template1", socketDirectory, overriding ? Self.options(version) : nil)
          let session = try Connection(words, applicationName: "backupd drill", cancellation: cancellation)
          defer { session.close() }
          if overriding {
            guard try session.query("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").scalar == "t" else {
              continue
            }
            user = candidate
            return
          }
          let found = try session.query(
            "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1"
          ).scalar
          if let found {
            user = found
            return
          }
        } catch let error as CancellationError {
          throw error
        } catch {
          failure = failure ?? error
        }
      }
    }
    throw DrillError.noSuperuser(
      failure.map { ErrorReport($0) } ?? ErrorReport(summary: "no role that may log in is a superuser"))
  }

  /// What libpq takes, for one database.
  var connection: String { connection(to: database) }
  func connection(to database: String) -> String {
    Self.words(user, database, socketDirectory, Self.options(version))
  }

  /// Above what ALTER ROLE and ALTER DATABASE say. Triggers that only replicas do not fire stay quiet too.
  private static func options(_ version: Int) -> String {
    let settings = [
      "session_preload_libraries=", "local_preload_libraries=", "session_replication_role=replica",
      version >= 17 ? "event_triggers=off" : nil,
    ]
    return settings.compactMap { $0.map { "-c \($0)" } }.joined(separator: " ")
  }

  private static func words(
    _ user: String, _ database: String, _ socketDirectory: String, _ options: String?
  ) -> String {
    func quoted(_ text: String) -> String {
      "'" + text.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "'"
    }
    let words = [
      "host=\(quoted(socketDirectory))", "port=\(ScratchServer.port)", "user=\(quoted(user))",
      "dbname=\(quoted(database))", "sslmode=disable", "gssencmode=disable", options.map { "options=\(quoted($0))" },
    ]
    return words.compactMap { $0 }.joined(separator: " ")
  }
}
