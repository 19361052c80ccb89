import BackupModel
import TestSupport

/// A table of numbers, one a transaction: the smallest load whose loss can be told.
enum Numbers {
  static func create(_ server: PostgresServer) throws {
    try server.psql("create table numbers (n int primary key)")
  }

  /// Commits one number.
  /// - Returns: A position behind the commit, as the server tells it.
  @discardableResult
  static func add(_ number: Int, _ server: PostgresServer) throws -> LSN {
    try LSN(try server.psql("insert into numbers values (\(number)); select pg_current_wal_insert_lsn()"))
  }

  static func all(_ server: PostgresServer) throws -> [Int] {
    try server.psql("select n from numbers order by n").split(separator: "\n").compactMap { Int($0) }
  }
}

extension BackupSite {
  /// A server with the numbers from 1 on, a backup after the first of them, the rest in WAL; the daemon has stopped.
  /// - Parameter numbers: How many.
  static func runBackedUp(
    _ numbers: Int = 3, version: Int = 15, options: [String: String] = [:],
    prepare: (PostgresServer) throws -> Void = { _ in }, _ body: (PostgresServer, BackupSite) throws -> Void
  ) throws {
    try PostgresServer.run(version: version, options: options) { server in
      try prepare(server)
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try site.withDaemon { _ in
          try Numbers.add(1, server)
          try site.backup()
          for number in 2...numbers { try Numbers.add(number, server) }
          try site.waitUntilDurable(server)
        }
        try body(server, site)
      }
    }
  }

  /// Every object of the store with its SHA-256, as `sha256sum` prints them, sorted by name.
  func storedObjects() throws -> [String] {
    let output = try Program.succeed(
      "/bin/sh", ["-c", "cd \"$1\" && find . -type f -exec sha256sum {} +", "sh", store])
    return output.split(separator: "\n").map(String.init).sorted { $0.dropFirst(66) < $1.dropFirst(66) }
  }
}
