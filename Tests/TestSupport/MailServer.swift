internal import FoundationEssentials
internal import Glibc

/// A real mail server on loopback (aiosmtpd) that keeps each mail in a file, for the length of a closure.
public struct MailServer: Sendable {
  public enum Security: String, Sendable { case starttls, smtps, none }

  public let port: UInt16
  public let directory: String
  public let security: Security
  /// The certificate it shows, which is its own authority.
  public var certificate: String { directory + "/cert.pem" }
  public var url: String { "\(security == .smtps ? "smtps" : "smtp")://127.0.0.1:\(port)" }
  private var faults: String { directory + "/faults" }

  /// - Parameters:
  ///   - login: Who may log in; nil lets everybody send.
  ///   - port: Nil takes a free one.
  public static func run<Result>(
    _ security: Security = .none, login: (user: String, password: String)? = nil, directory: String,
    port: UInt16? = nil, _ body: (MailServer) throws -> Result
  ) throws -> Result {
    let (server, arguments) = try prepare(security, login, directory, port)
    return try Program.running(try TestParts.python(), arguments) { program in
      try program.waitForOutput(containing: "endpoint=")
      return try body(server)
    }
  }

  public static func run<Result>(
    _ security: Security = .none, login: (user: String, password: String)? = nil, directory: String,
    port: UInt16? = nil, isolation: isolated (any Actor)? = #isolation, _ body: (MailServer) async throws -> Result
  ) async throws -> Result {
    let (server, arguments) = try prepare(security, login, directory, port)
    return try await Program.running(try TestParts.python(), arguments) { program in
      try program.waitForOutput(containing: "endpoint=")
      return try await body(server)
    }
  }

  private static func prepare(
    _ security: Security, _ login: (user: String, password: String)?, _ directory: String, _ port: UInt16?
  ) throws -> (MailServer, arguments: [String]) {
    let server = MailServer(port: try port ?? FreePort.find(), directory: directory, security: security)
    var arguments = [
      try TestParts.path("smtp-server.py"), directory, "\(server.port)", "--tls", security.rawValue, "--faults",
      server.faults,
    ]
    if let login { arguments += ["--user", login.user, "--password", login.password] }
    return (server, arguments)
  }

  /// What it answers to each mail from now on instead of taking it: `451 4.3.0 try later`, `drop`; nil takes them again.
  public func answer(_ fault: String?) throws {
    try (fault ?? "").write(toFile: faults, atomically: true, encoding: .utf8)
  }

  /// A mail as Python's own parser reads it.
  public struct Mail: Sendable, Decodable {
    public var from: String
    public var recipients: [String]
    public var isEncrypted: Bool
    public var user: String?
    public var subject: String
    public var messageID: String
    public var inReplyTo: String?
    public var references: [String]
    public var date: String
    public var text: String
    public var html: String
    /// What the parser found to be wrong.
    public var defects: [String]
    /// The longest line in bytes, and whether each ended with CRLF and all bytes were ASCII.
    public var longestLine: Int
    public var isWellFormed: Bool
  }

  /// All it has taken, in order.
  public func mails() throws -> [Mail] { try Self.mails(in: directory + "/mails") }

  /// All `*.eml` of a directory; what the server notes beside them is empty where there are no such notes.
  public static func mails(in directory: String) throws -> [Mail] {
    let text = try Program.succeed(try TestParts.python(), ["-c", reader, directory])
    return try JSONDecoder().decode([Mail].self, from: Data(text.utf8))
  }

  private static let reader = """
    import email, email.policy, email.utils, glob, json, os, sys
    mails = []
    for path in sorted(glob.glob(sys.argv[1] + "/*.eml")):
        raw = open(path, "rb").read()
        note = path[:-4] + ".json"
        facts = json.load(open(note)) if os.path.exists(note) else {"mail_from": "", "rcpt_tos": [], "tls": False}
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        defects = [str(d) for part in mail.walk() for d in part.defects]
        defects += [str(d) for part in mail.walk() for h in part.values() for d in getattr(h, "defects", [])]
        parts = {part.get_content_type(): part.get_content() for part in mail.iter_parts()}
        if mail.get_content_type() != "multipart/alternative": defects.append(mail.get_content_type())
        mails.append({
            "from": facts["mail_from"], "recipients": facts["rcpt_tos"], "isEncrypted": facts["tls"],
            "user": facts.get("user"), "subject": str(mail["subject"]), "messageID": str(mail["message-id"]).strip(),
            "inReplyTo": str(mail["in-reply-to"]).strip() if mail["in-reply-to"] else None,
            "references": str(mail["references"] or "").split(),
            "date": email.utils.parsedate_to_datetime(mail["date"]).isoformat(),
            "text": parts["text/plain"].replace("\\r\\n", "\\n"), "html": parts["text/html"], "defects": defects,
            "longestLine": max(len(l) for l in raw.splitlines()),
            "isWellFormed": all(b < 128 for b in raw) and b"\\n" not in raw.replace(b"\\r\\n", b"")})
    print(json.dumps(mails))
    """
}

/// Scripts that start real servers, and the Python they run in.
enum TestParts {
  static func path(_ name: String) throws -> String { try variable("BACKUPD_TEST_PARTS") + "/" + name }
  static func python() throws -> String { try variable("BACKUPD_TEST_SERVERS") + "/bin/python3" }

  private static func variable(_ name: String) throws -> String {
    guard let value = ProcessInfo.processInfo.environment[name] else {
      throw TestSupportError.systemCall("run scripts/test.sh, which sets", path: name, errno: EINVAL)
    }
    return value
  }
}
