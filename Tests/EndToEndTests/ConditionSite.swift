import Foundation
import TestSupport
import Testing

/// A daemon that looks every second, what it says is wrong, and what it tells of it on four channels.
struct ConditionSite: Sendable {
  let site: BackupSite
  let daemon: RunningDaemon
  let channels: AlertChannels

  /// A server and an installation whose daemon runs for the length of the closure.
  /// - Parameters:
  ///   - monitoring: Keys of `monitoring`; the interval is a second where they do not say.
  ///   - replacing: Changes of the standard configuration.
  static func run(
    _ server: PostgresServer, monitoring: [String] = [], environment: [String: String] = [:],
    change: (inout BackupSite.Options) -> Void = { _ in }, replacing: [(String, String)] = [],
    _ body: (ConditionSite) throws -> Void
  ) throws {
    try BackupSite.run(server, change: change) { site in
      try AlertChannels.run(site) { channels in
        try channels.configure(monitoring: monitoring, replacing: replacing)
        try run(channels, environment: environment, body)
      }
    }
  }

  /// The same for an installation whose configuration has been written.
  static func run(
    _ channels: AlertChannels, environment: [String: String] = [:], _ body: (ConditionSite) throws -> Void
  ) throws {
    let site = channels.site
    let variables = environment.isEmpty ? [:] : environment.merging(["BACKUPD_CONFIG": site.configuration]) { $1 }
    try site.withDaemon(environment: variables) { daemon in
      try body(ConditionSite(site: site, daemon: daemon, channels: channels))
    }
  }

  /// What is wrong now.
  func raised() throws -> [String] {
    (try site.json("status")["conditions"].array ?? []).compactMap { $0["id"].text }.sorted()
  }

  /// Waits for a condition, which must be the only one, is told once on each channel, and gives its text.
  /// - Parameter besides: Beginnings of ids that may be there as well.
  @discardableResult
  func expectRaised(
    _ id: String, severity: String? = nil, besides: [String] = [], deadline: Duration = .seconds(60),
    location: SourceLocation = #_sourceLocation
  ) throws -> String {
    try Poll.until(deadline, "condition \(id)", every: .milliseconds(200)) { try raised().contains(id) }
    let conditions = try site.json("status")["conditions"]
    let ids = (conditions.array ?? []).compactMap { $0["id"].text }
    #expect(
      ids.filter { $0 == id || !AlertChannels.isExpected($0, besides: besides) } == [id], "\(conditions)",
      sourceLocation: location)
    let found = conditions.array?.first { $0["id"].text == id }
    if let severity { #expect(found?["severity"].text == severity, sourceLocation: location) }
    #expect(found?["hint"].text?.isEmpty == false, "it says what to do", sourceLocation: location)
    try channels.expectTold(["raised"], of: id, besides: besides, location: location)
    return found?["summary"].text.map { $0 + "\n" + (found?["detail"].text ?? "") } ?? ""
  }

  /// Waits for the end of a condition, the only one: each channel was told once that it holds, and once that it is over.
  func expectResolved(
    _ id: String, changes: [String] = ["raised", "resolved"], besides: [String] = [],
    deadline: Duration = .seconds(60), location: SourceLocation = #_sourceLocation
  ) throws {
    try Poll.until(deadline, "the end of condition \(id)", every: .milliseconds(200)) {
      try raised().allSatisfy { $0 != id && AlertChannels.isExpected($0, besides: besides) }
    }
    try channels.expectTold(changes, of: id, besides: besides, location: location)
  }
}

extension AlertChannels {
  /// Writes the site's standard configuration with these channels and a monitor that looks every second.
  func configure(monitoring: [String] = [], replacing: [(String, String)] = []) throws {
    var text = site.standardConfiguration
    for (old, new) in replacing {
      try #require(text.contains(old), "\(old) is not in the configuration")
      text = text.replacingOccurrences(of: old, with: new)
    }
    try site.writeConfiguration(text)
    try extendConfiguration(monitoring: monitoring)
  }

  /// Adds the same to the configuration that is written.
  func extendConfiguration(monitoring: [String] = []) throws {
    let text = try String(contentsOfFile: site.configuration, encoding: .utf8)
    let keys = monitoring.contains { $0.hasPrefix("interval:") } ? monitoring : ["interval: 1s"] + monitoring
    try site.writeConfiguration(text + "\nmonitoring: {\(keys.joined(separator: ", "))}\n" + configuration)
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
