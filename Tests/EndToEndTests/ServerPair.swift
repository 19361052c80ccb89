import FoundationEssentials
import TestSupport

/// A primary and its standby, which change places. Commits wait for both the standby and backupd, so that a failover at
/// any moment keeps what a client was told of.
struct ServerPair {
  private static let application = "pair_standby"
  private(set) var primary: PostgresServer
  private(set) var standby: PostgresServer
  /// Where both listen beside loopback; nil for nowhere.
  private let address: String?

  /// Both servers for the length of the closure; commits do not wait yet.
  /// - Parameter address: One more to listen on, where everybody is trusted.
  static func run<Result>(
    version: Int, address: String?, options: [String: String] = [:], _ body: (ServerPair) throws -> Result
  ) throws -> Result {
    // What a standby that is built anew needs, and a receiver after a failover, stays there.
    let settings = ["wal_keep_size": "512MB", "wal_sender_timeout": "5s"].merging(options) { $1 }
    return try PostgresServer.run(version: version, options: settings) { primary in
      if let address {
        let path = primary.dataDirectory + "/pg_hba.conf"
        let rules = "host all all \(address)/24 trust\nhost replication all \(address)/24 trust\n"
        try (rules + String(contentsOfFile: path, encoding: .utf8)).write(
          toFile: path, atomically: false, encoding: .utf8)
      }
      return try StandbyServer.run(of: primary, version: version, application: application) { standby in
        let pair = ServerPair(primary: primary, standby: standby, address: address)
        try pair.restart(.primary)
        try pair.restart(.standby)
        return try body(pair)
      }
    }
  }

  /// For a client or the daemon.
  func connection(overNetwork: Bool) -> String {
    let servers = [primary, standby].sorted { $0.port < $1.port }
    return Self.connection(servers, host: overNetwork ? address : nil)
  }

  /// libpq takes the one that is a primary.
  /// - Parameter host: Nil for their sockets.
  static func connection(_ servers: [PostgresServer], host: String? = nil) -> String {
    let hosts = servers.map { host ?? $0.socketDirectory }.joined(separator: ",")
    let ports = servers.map { "\($0.port)" }.joined(separator: ",")
    return "host=\(hosts) port=\(ports) user=postgres dbname=postgres target_session_attrs=read-write connect_timeout=3"
  }

  /// From now on commits wait for whoever `names` names, and for the standby.
  func makeCommitsWait(for name: String) throws {
    // Of both: the standby's files were copied before, and it will be the primary.
    for server in [primary, standby] {
      try server.psql("alter system set synchronous_standby_names = 'FIRST 2 (\(name), \(Self.application))'")
      try server.psql("select pg_reload_conf()")
    }
  }

  func waitForStandby() throws { try StandbyServer.wait(for: standby, toFollow: primary) }

  enum Role { case primary, standby }
  func restart(_ role: Role, _ mode: PostgresServer.StopMode = .fast) throws {
    let server = role == .primary ? primary : standby
    try server.stop(mode)
    try start(server)
  }

  func start(_ server: PostgresServer) throws {
    var options: [String: String] = [:]
    if let address { options["listen_addresses"] = "127.0.0.1,\(address)" }
    try server.start(options: options)
  }

  /// The primary is gone at this moment, the standby takes over, and the old primary becomes its standby.
  mutating func failOver() throws {
    if try primary.isRunning { try primary.crash() }
    try standby.psql("select pg_promote(true, 60)")
    try standby.waitUntilPromoted()
    swap(&primary, &standby)
    try FileManager.default.removeItem(atPath: standby.dataDirectory)
    try StandbyServer.copy(primary, to: standby.dataDirectory, application: Self.application)
    try start(standby)
  }
}
