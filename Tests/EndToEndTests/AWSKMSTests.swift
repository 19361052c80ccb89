import BackupModel
import DaemonConfiguration
import Foundation
import Repository
import RepositoryAccess
import Systemd
import TestSupport
import Testing

@Suite("A daemon whose key is wrapped by AWS KMS", .serialized) struct AWSKMSTests {
  private static let secret = "wJalrXUtnFEMI-K7MDENG-MARKED-SECRET-KEY"

  private func withSite(_ body: (BackupSite, ObjectServer, PostgresServer) throws -> Void) throws {
    try PostgresServer.run { server in
      try ObjectServer.run(.moto) { kms in
        for region in ["us-east-1", "eu-west-1"] { _ = try kms.makeKMSKey("alias/backup", region: region) }
        try TemporaryDirectory.run { directory in
          for (name, text) in [("id", "AKIDEXAMPLE\n"), ("secret", Self.secret + "\n")] {
            try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
            try Program.succeed("chmod", ["600", "\(directory)/\(name)"])
            try ProgramUser.postgres.own("\(directory)/\(name)")
          }
          try ProgramUser.postgres.own(directory)
          let entries = ["us-east-1", "eu-west-1"].map { region in
            "{aws-kms: alias/backup, region: \(region), endpoint: \"\(kms.endpoint)\", credentials: "
              + "{access-key: {file: \(directory)/id}, secret-key: {file: \(directory)/secret}}}"
          }
          let encryption = "[\(entries.joined(separator: ", "))]"
          try BackupSite.run(server, change: { $0.encryption = encryption }) { try body($0, kms, server) }
        }
      }
    }
  }

  @Test("goes on without AWS once it has started, and does not start without it; no secret is left anywhere")
  func outage() throws {
    try withSite { site, kms, server in
      let info = try site.json("repository", "info")
      let recipients = try #require(info["recipients"].array)
      #expect(info["encryption"].text == "aws-kms" && info["keyFile"].isNull)
      #expect(Set(recipients.compactMap { $0["region"].text }) == ["us-east-1", "eu-west-1"])
      #expect(recipients.filter { $0["inUse"].bool == true }.compactMap { $0["region"].text } == ["us-east-1"])
      let text = try site.succeed("repository", "info")
      #expect(text.contains("in us-east-1, opened with it") && text.contains("in eu-west-1"), "\(text)")

      let settings = try Configuration.load(path: site.configuration).repository
      let key = try ConfiguredRepository.open(settings, Credentials(environment: [:])).keys.current.key.reveal()
      var said = ""
      try site.withDaemon { daemon in
        let first = try site.backup()
        try kms.kill()
        let second = try site.backup()
        try site.waitUntilDurable(server)
        #expect(first != second)
        try daemon.stop()
        said += daemon.log
      }
      try site.startingDaemon { daemon in
        let ended = try daemon.program.waitForExit(deadline: .seconds(60))
        #expect(ended.status == .exited(1))
        said += daemon.log
        for region in ["us-east-1", "eu-west-1"] {
          #expect(daemon.log.contains("AWS KMS key \"alias/backup\" in \(region): Could not talk to"), "\(daemon.log)")
        }
      }
      let refused = try site.expectRefused(["backups"], 1, saying: "in us-east-1: Could not talk to", "HINT")
      said += refused.standardError
      try expectNowhere([Array(Self.secret.utf8)] + Self.forms(of: key), in: site, said: said)
    }
  }

  /// As bytes, in hexadecimal and in base64 from each of its first bytes on.
  private static func forms(of key: [UInt8]) -> [[UInt8]] {
    let digits = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let base64 = (0..<3).map { Array(Data(key.dropFirst($0)).base64EncodedString().utf8.prefix(36)) }
    return [key, Array(digits.utf8), Array(digits.uppercased().utf8)] + base64
  }

  private func expectNowhere(_ secrets: [[UInt8]], in site: BackupSite, said: String) throws {
    var files = 0
    for name in try FileManager.default.subpathsOfDirectory(atPath: site.directory) {
      let path = site.directory + "/" + name
      guard !name.hasPrefix("bin"), let data = FileManager.default.contents(atPath: path) else { continue }
      files += 1
      for secret in secrets { #expect(data.firstRange(of: Data(secret)) == nil, "\(name)") }
    }
    #expect(files > 20)
    for secret in secrets { #expect(Data(said.utf8).firstRange(of: Data(secret)) == nil) }
  }
}
