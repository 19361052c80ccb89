import Foundation
import TestSupport
import Testing

/// A daemon that looks every second, and what it says is wrong.
struct ConditionSite: Sendable {
  let site: BackupSite
  let daemon: RunningDaemon

  /// A server and an installation whose daemon runs for the length of the closure.
  /// - Parameters:
  ///   - monitoring: Keys of `monitoring` beside the interval.
  ///   - replacing: Changes of the standard configuration.
  static func run(
    _ server: PostgresServer, monitoring: [String] = [], environment: [String: String] = [:],
    change: (inout BackupSite.Options) -> Void = { _ in }, replacing: [(String, String)] = [],
    before: (BackupSite) throws -> Void = { _ in }, _ body: (ConditionSite) throws -> Void
  ) throws {
    try BackupSite.run(server, change: change) { site in
      try site.configure(monitoring: monitoring, replacing: replacing)
      try before(site)
      let variables = environment.isEmpty ? [:] : environment.merging(["BACKUPD_CONFIG": site.configuration]) { $1 }
      try site.withDaemon(environment: variables) { daemon in
        try body(ConditionSite(site: site, daemon: daemon))
      }
    }
  }

  /// What is wrong now.
  func raised() throws -> [String] {
    (try site.json("status")["conditions"].array ?? []).compactMap { $0["id"].text }.sorted()
  }

  /// Waits for a condition, which must be the only one, and gives its text.
  @discardableResult
  func expectRaised(
    _ id: String, severity: String? = nil, deadline: Duration = .seconds(60),
    location: SourceLocation = #_sourceLocation
  ) throws -> String {
    try Poll.until(deadline, "condition \(id)", every: .milliseconds(200)) { try raised().contains(id) }
    let conditions = try site.json("status")["conditions"]
    #expect(try raised() == [id], "\(conditions)", sourceLocation: location)
    let found = conditions.array?.first { $0["id"].text == id }
    if let severity { #expect(found?["severity"].text == severity, sourceLocation: location) }
    #expect(found?["hint"].text?.isEmpty == false, "it says what to do", sourceLocation: location)
    return found?["summary"].text.map { $0 + "\n" + (found?["detail"].text ?? "") } ?? ""
  }

  /// Waits for the end of a condition, the only one: it was raised once, and is resolved once.
  func expectResolved(
    _ id: String, deadline: Duration = .seconds(60), location: SourceLocation = #_sourceLocation
  ) throws {
    try Poll.until(deadline, "the end of condition \(id)", every: .milliseconds(200)) { try raised().isEmpty }
    #expect(told("condition raised", of: id) == 1, "\(daemon.log.suffix(4000))", sourceLocation: location)
    #expect(told("condition resolved", of: id) == 1, "\(daemon.log.suffix(4000))", sourceLocation: location)
  }

  /// How often the daemon's log says something of a condition.
  func told(_ what: String, of id: String) -> Int {
    daemon.log.split(separator: "\n").count { $0.contains(what) && $0.contains("condition=\(id)") }
  }
}

extension BackupSite {
  /// The standard configuration with a monitor that looks every second.
  func configure(monitoring: [String] = [], replacing: [(String, String)] = []) throws {
    var text = standardConfiguration
    for (old, new) in replacing {
      try #require(text.contains(old), "\(old) is not in the configuration")
      text = text.replacingOccurrences(of: old, with: new)
    }
    try writeConfiguration(text + "\nmonitoring: {\((["interval: 1s"] + monitoring).joined(separator: ", "))}\n")
  }
}

extension BackupSite {
  /// The path of an object of the store, of which the cluster has at least one.
  func object(_ part: String) throws -> String {
    let name = try #require(try objects(part).sorted().first)
    let parts = name.split(separator: "/", maxSplits: 1)
    return "\(store)/clusters/\(Self.cluster)/\(parts[0])/\(part)/\(parts[1])"
  }
}
