import Glibc
import TestSupport

/// A network namespace of our own and a cable to it, which can be pulled. Needs root.
struct NetworkNamespace {
  private let name: String
  private let cable: String
  /// Ours; programs in the namespace reach us there.
  let address: String

  /// Whether this machine lets us make one.
  static let isPossible: Bool = {
    guard ProgramUser.canSwitch else { return false }
    return (try? run { _ in true }) ?? false
  }()

  static func run<Result>(_ body: (NetworkNamespace) throws -> Result) throws -> Result {
    let number = Int(getpid()) % 250
    let namespace = NetworkNamespace(
      name: "backupd-test-\(getpid())", cable: "bkt\(getpid())", address: "10.213.\(number).1")
    try ip("netns", "add", namespace.name)
    defer { _ = try? ip("netns", "del", namespace.name) }
    try ip("link", "add", namespace.cable, "type", "veth", "peer", "name", "uplink", "netns", namespace.name)
    defer { _ = try? ip("link", "del", namespace.cable) }
    try ip("addr", "add", namespace.address + "/24", "dev", namespace.cable)
    try ip("link", "set", namespace.cable, "up")
    for command in [
      ["addr", "add", "10.213.\(number).2/24", "dev", "uplink"], ["link", "set", "uplink", "up"],
      ["link", "set", "lo", "up"],
    ] { try Program.succeed("/usr/sbin/ip", ["-n", namespace.name] + command) }
    return try body(namespace)
  }

  /// Makes a program run in the namespace.
  var wrapper: [String] { ["/usr/sbin/ip", "netns", "exec", name] }

  /// Nothing gets through, and nobody is told.
  func cut() throws { try Self.ip("link", "set", cable, "down") }
  func mend() throws { try Self.ip("link", "set", cable, "up") }

  @discardableResult
  private static func ip(_ arguments: String...) throws -> String { try Program.succeed("/usr/sbin/ip", arguments) }
}
