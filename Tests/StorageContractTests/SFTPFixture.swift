import BackupModel
import Foundation
import Glibc
import Storage
import TestSupport
import Transfer

/// An SFTP server with an empty directory for stores.
struct SFTPFixture {
  /// On this machine's own file system.
  let root: String
  let user: String
  let port: Int
  let key: String
  let knownHosts: String

  /// OpenSSH's, whose rename refuses to replace.
  static func run(_ body: (SFTPFixture) throws -> Void) throws {
    try ObjectServer.run(.sftp) { server in
      let root = server.directory + "/stores"
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
      let address = server.endpoint.dropFirst("sftp://".count).split(separator: "@")
      try body(
        SFTPFixture(
          root: root, user: String(address[0]), port: Int(address[1].split(separator: ":")[1]) ?? 0,
          key: server.facts["key"] ?? "", knownHosts: server.facts["known_hosts"] ?? ""))
    }
  }

  /// rclone's, which serves a directory as `/`.
  static func runReplacing(_ body: (SFTPFixture) throws -> Void) throws {
    try TemporaryDirectory.run { directory in
      let root = directory + "/stores"
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
      for key in ["host", "client"] {
        try Program.succeed("ssh-keygen", ["-q", "-N", "", "-t", "ed25519", "-f", directory + "/" + key])
      }
      let port = Int(try FreePort.find())
      let hostKey = String(decoding: try Data(contentsOf: URL(fileURLWithPath: directory + "/host.pub")), as: UTF8.self)
      let known = directory + "/known_hosts"
      try Data("[127.0.0.1]:\(port) \(hostKey)".utf8).write(to: URL(fileURLWithPath: known))
      let servers = ProcessInfo.processInfo.environment["BACKUPD_TEST_SERVERS"] ?? ""
      let arguments = [
        "serve", "sftp", root, "--addr", "127.0.0.1:\(port)", "--key", directory + "/host", "--authorized-keys",
        directory + "/client.pub", "--vfs-cache-mode", "off", "--dir-cache-time", "0s", "--config", "/dev/null",
      ]
      try Program.running(servers + "/bin/rclone", arguments) { _ in
        try body(SFTPFixture(root: root, user: "u", port: port, key: directory + "/client", knownHosts: known))
      }
    }
  }

  /// - Parameter shown: Where the server shows `path`.
  func store(
    _ path: String, shown: String? = nil, knownHosts: String? = nil, key: String? = nil, passphrase: String? = nil
  ) -> SFTPStore {
    let settings = SFTPSettings(
      host: "127.0.0.1", port: port, user: user, path: shown ?? path, knownHostsFile: knownHosts ?? self.knownHosts,
      privateKeyFile: key ?? self.key, passphrase: passphrase.map { text in { @Sendable in Secret(text) } })
    return SFTPStore(settings, retries: RetrySchedule(total: .seconds(5)), makesRoot: true)
  }

  func temporaryFiles(_ root: String) throws -> [String] {
    FileManager.default.fileExists(atPath: root + "/tmp")
      ? try FileManager.default.contentsOfDirectory(atPath: root + "/tmp") : []
  }
}
