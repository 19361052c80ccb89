import BackupModel
import DaemonConfiguration
import Foundation
import Glibc
import Repository
import RepositoryAccess
import Systemd
import TestSupport
import Testing

/// Everything that holds a secret is run with secrets that cannot be mistaken, and then all that was said and stored is
/// searched. AWS KMS has its own: ``AWSKMSTests``.
@Suite("Secrets of stores, servers and keys, Soak", .enabled(if: Soak.isOn), .serialized)
struct MarkedSecretsSoak {
  @Test("are in no log, output, state, repository or command line, whatever fails")
  func nowhere() throws {
    try MarkedServers.run { servers in
      try PostgresServer.run { database in
        try BackupSite.run(
          database, creating: false,
          change: { $0.connection = "host=127.0.0.1 port=\(database.port) user=postgres dbname=postgres" }
        ) { site in
          try Program.running("/usr/bin/python3", ["-c", MarkedSite.commandLines]) { watcher in
            let marked = try MarkedSite(site, servers)
            try marked.runGood(database)
            try marked.runBad()
            try marked.runAway()
            let commands = watcher.standardOutput
            #expect(commands.contains("pg_dump") && commands.contains("-D"), "programs of ours started others")
            try marked.expectNowhere(besides: commands)
          }
        }
      }
    }
  }
}

/// One of each kind that needs a secret.
private struct MarkedServers {
  static let token = "MarkedGoogleToken"
  let bucket: ObjectServer
  let host: ObjectServer
  let google: ObjectServer
  let tokens: GoogleTokenServer

  static func run(_ body: (MarkedServers) throws -> Void) throws {
    try ObjectServer.run(.rclone) { bucket in
      try ObjectServer.run(.sftp) { host in
        try ObjectServer.run(.gcs) { google in
          try GoogleTokenServer.run(token: token) { tokens in
            try body(MarkedServers(bucket: bucket, host: host, google: google, tokens: tokens))
          }
        }
      }
    }
  }
}

/// A site with a store of S3's protocol, one of Google's and one behind SSH, and all that its programs say.
private final class MarkedSite {
  private static let passphrase = "Marked/Passphrase+of-the-SSH-key"
  private static let wrong = "Marked/Secret+that-is-wrong"
  private static let token = "Marked/Session+Token"
  private static let hook = "MarkedPath-of-the-web-hook"
  /// Prints the command lines of our programs and of all that they start, as they come.
  static let commandLines = """
    import os, time
    def text(pid, name):
      try: return open(f"/proc/{pid}/{name}", "rb").read().decode(errors="replace")
      except OSError: return ""
    def is_ours(pid):
      while pid not in ("", "0", "1"):
        stat = text(pid, "stat")
        if stat[stat.find("(") + 1:stat.rfind(")")] in ("backupd", "backupctl", "backupd-wal"): return True
        pid = stat[stat.rfind(")") + 1:].split()[1] if ")" in stat else ""
      return False
    seen = set()
    parent = os.getppid()
    while os.getppid() == parent:
      for pid in filter(str.isdigit, os.listdir("/proc")):
        line = text(pid, "cmdline").replace("\\0", " ")
        if line and line not in seen and is_ours(pid):
          seen.add(line)
          print(line, flush=True)
      time.sleep(0.01)
    """
  private static let google = "MarkedGooglePrivateKey/+"
  private let site: BackupSite
  private let servers: MarkedServers
  private let account: GoogleKeyFile
  private let good: String
  private var said = ""

  init(_ site: BackupSite, _ servers: MarkedServers) throws {
    (self.site, self.servers) = (site, servers)
    let bucket = servers.bucket
    try bucket.makeBucket("marked")
    account = try GoogleKeyFile(servers.tokens.directory, tokenAddress: servers.tokens.endpoint + "/token")
    let files = [
      "account": String(decoding: account.content, as: UTF8.self),
      "access": bucket.facts["key"] ?? "", "secret": bucket.facts["secret"] ?? "", "wrong": Self.wrong,
      "hook": "http://127.0.0.1:1/\(Self.hook)", "token": Self.token, "password": PostgresServer.password,
      "passphrase": Self.passphrase,
      "google": """
      {"type": "service_account", "client_email": "a@b.c", "token_uri": "http://127.0.0.1:1/", "private_key":
       "-----BEGIN PRIVATE KEY-----\\n\(Self.google)\\n-----END PRIVATE KEY-----\\n"}
      """,
      "refused": String(decoding: account.content, as: UTF8.self).replacingOccurrences(
        of: "\\/token", with: "\\/refuse\\/400"),
    ]
    for (name, text) in files {
      let path = site.directory + "/" + name
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      try Program.succeed("chmod", ["600", path])
      try ProgramUser.postgres.own(path)
    }
    let ssh = try CloudSite.sftp(servers.host, site).replacingOccurrences(
      of: "/id}}", with: "/id, passphrase: {file: \(site.directory)/passphrase}}}")
    try Program.succeed("ssh-keygen", ["-q", "-p", "-P", "", "-N", Self.passphrase, "-f", site.directory + "/id"])
    try ProgramUser.postgres.own(site.directory + "/id")
    let google = try CloudSite.google(servers.google).replacingOccurrences(
      of: "credentials: none", with: "credentials: {file: \(site.directory)/account}")
    let cloud = """
      cloud: {s3: {bucket: marked, region: us-east-1, endpoint: "\(bucket.endpoint)",
            credentials: {access-key: {file: \(site.directory)/access}, secret-key: {file: \(site.directory)/secret},
            session-token: {file: \(site.directory)/token}},
            prune-credentials: {access-key: {file: \(site.directory)/access},
            secret-key: {file: \(site.directory)/secret}}}}
          ssh: \(ssh)
          google: \(google)
      """
    let more = """
        dump: {kind: logical, cluster: main, database: postgres}
        drill: {kind: drill, cluster: main}
      alerts: {slack: {webhook: {file: \(site.directory)/hook}}}

      """
    good = (site.standardConfiguration + more).replacingOccurrences(of: "local: {path: \(site.store)}", with: cloud)
      .replacingOccurrences(
        of: "main: {connection", with: "main: {password: {file: \(site.directory)/password}, connection")
    try site.writeConfiguration(good)
  }

  private func say(_ arguments: String..., deadline: Duration = .seconds(300)) throws {
    let result = try site.backupctl(arguments, deadline: deadline)
    said += result.standardOutput + result.standardError
  }

  /// Everything, with the daemon saying all that it can.
  func runGood(_ database: PostgresServer) throws {
    said += try site.succeed("repository", "create")
    try Numbers.create(database)
    let debugging = ["/bin/sh", "-c", "exec \"$@\" --log-level trace", "sh"]
    try site.withDaemon(wrapper: debugging) { daemon in
      try site.backup()
      try site.waitUntilDurable(database)
      for job in ["dump", "drill"] {
        let run = try site.json("run", job)
        #expect(run["outcome"].text == "succeeded", "\(run)")
        said += "\(run)"
      }
      try say("alerts", "test")
      said += "\(try site.json("status")) \(try site.json("runs")) \(try site.json("jobs"))"
      try daemon.stop()
      said += daemon.log
    }
    #expect(said.contains("debug") || said.contains("trace"), "the daemon said nothing of its details")
    for command in [
      ["repository", "info"], ["repository", "probe"], ["repository", "policy", "--store", "cloud"],
      ["config", "check"],
      ["config", "explain"], ["backups"], ["verify", "--full"], ["prune"], ["doctor"], ["wal", "list"],
      ["restore", site.directory + "/restored", "--cluster", BackupSite.cluster],
    ] {
      let result = try site.backupctl(command)
      said += result.standardOutput + result.standardError
    }
    #expect(FileManager.default.fileExists(atPath: site.directory + "/restored/PG_VERSION"))
  }

  /// Secrets that are wrong or no secrets, and a configuration with errors around them.
  func runBad() throws {
    let directory = site.directory
    let changes = [
      ("secret-key: {file: \(directory)/secret}", "secret-key: {file: \(directory)/wrong}"),
      ("session-token: {file: \(directory)/token}", "session-token: {file: \(directory)/wrong}"),
      ("credentials: {file: \(directory)/account}", "credentials: {file: \(directory)/google}"),
      ("credentials: {file: \(directory)/account}", "credentials: {file: \(directory)/refused}"),
      ("passphrase: {file: \(directory)/passphrase}", "passphrase: {file: \(directory)/wrong}"),
      ("key-file: \(directory)/id", "key-file: \(directory)/google"),
      ("password: {file: \(directory)/password}", "password: {file: \(directory)/wrong}"),
      ("region: us-east-1", "regoin: us-east-1"),
      ("cloud: {s3: {", "gone: {gcs: {bucket: b, credentials: {file: \(directory)/google}}}\n    cloud: {s3: {"),
      ("cloud: {s3: {", "gone: {gcs: {bucket: b, credentials: {file: \(directory)/secret}}}\n    cloud: {s3: {"),
    ]
    for (old, new) in changes {
      #expect(good.contains(old))
      try site.writeConfiguration(good.replacingOccurrences(of: old, with: new))
      try say("config", "check")
      try say("repository", "probe")
      try say("backups")
    }
    try site.writeConfiguration(good)
  }

  /// Servers that do not answer.
  func runAway() throws {
    for server in [servers.bucket, servers.host, servers.google] { try server.stop() }
    try say("backups")
    try say("repository", "probe")
    try site.startingDaemon { daemon in
      _ = try? site.waitUntilReady(daemon, deadline: .seconds(60))
      try say("status", "--json")
      if daemon.isRunning { try daemon.stop() }
      said += daemon.log
    }
  }

  // MARK: Searching

  /// - Parameter more: What else was seen.
  func expectNowhere(besides more: String) throws {
    said += more
    let settings = try Configuration.load(path: site.configuration).repository
    for server in [servers.bucket, servers.host, servers.google] { try server.startAgain() }
    let key = try ConfiguredRepository.open(settings, Credentials(environment: [:])).keys.current.key.reveal()
    let texts =
      [
        Self.passphrase, Self.wrong, Self.token, Self.google, Self.hook, servers.bucket.facts["secret"] ?? "?",
        PostgresServer.password, MarkedServers.token,
      ] + (try googleSecrets())
    let forms = (texts.map { Array($0.utf8) } + [key]).flatMap(Self.forms)
    let spoken = Data(said.utf8)
    for form in forms where Self.holds(spoken, form) {
      Issue.record("a program said \"\(String(decoding: form, as: UTF8.self))\"")
    }
    // Where the secrets are kept they are, and PostgreSQL's own directory is none of ours.
    let sources: Set = [
      "access", "secret", "wrong", "token", "hook", "password", "passphrase", "google", "account", "refused", "id",
      "backupd.yaml", "repository.key",
    ]
    var files = 0
    let roots = [
      site.directory, servers.bucket.facts["data"] ?? "?", servers.google.facts["data"] ?? "?",
      servers.host.directory + "/store",
    ]
    for root in roots {
      for name in try FileManager.default.subpathsOfDirectory(atPath: root) {
        if sources.contains(name) || name.hasPrefix("bin") || name.hasPrefix("restored") { continue }
        guard let data = FileManager.default.contents(atPath: root + "/" + name) else { continue }
        files += 1
        for form in forms where Self.holds(data, form) {
          Issue.record("\(root)/\(name) holds \"\(String(decoding: form, as: UTF8.self))\"")
        }
      }
    }
    #expect(files > 15)
  }

  /// Lines of the account's key, and what was signed with it: who reads that in time has a token for it.
  private func googleSecrets() throws -> [String] {
    let lines = account.privateKey.split(separator: "\n").filter { !$0.hasPrefix("-") && $0.count > 40 }
    let asked = try FileManager.default.contentsOfDirectory(atPath: servers.tokens.directory).compactMap { Int($0) }
    #expect(asked.count >= 3, "the account is in use")
    let assertions = try asked.compactMap { number -> String? in
      let request = try servers.tokens.request(number)
      guard let start = request.firstRange(of: "assertion=")?.upperBound else { return nil }
      // Header and claims are no secret; the signature is.
      return request[start...].prefix { $0 != "&" && !$0.isNewline }.split(separator: ".").last.map(String.init)
    }
    #expect(assertions.count == asked.count)
    return lines.map(String.init) + assertions
  }

  private static func holds(_ data: Data, _ form: [UInt8]) -> Bool {
    data.withUnsafeBytes { bytes in
      var rest = bytes[...]
      // Much is searched for much: by the C library.
      while rest.count >= form.count, let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress,
        let found = memchr(base, Int32(form[0]), rest.count - form.count + 1)
      {
        if memcmp(found, form, form.count) == 0 { return true }
        rest = rest.dropFirst(UnsafeRawPointer(found) - base + 1)
      }
      return false
    }
  }

  /// As it is, percent-encoded, in hexadecimal, and in base64 from each of its first bytes on.
  private static func forms(of secret: [UInt8]) -> [[UInt8]] {
    let digits = secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let whole = (0..<3).map { secret.dropFirst($0).prefix((secret.count - 3) / 3 * 3) }
    let base64 = whole.map { Array(Data($0).base64EncodedString().utf8) }
    let text = String(decoding: secret, as: UTF8.self)
    let percent = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
    return [secret, Array(digits.utf8), Array(digits.uppercased().utf8), Array(percent.utf8)] + base64
  }
}
