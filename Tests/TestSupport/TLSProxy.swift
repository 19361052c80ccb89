internal import FoundationEssentials

/// Speaks TLS and HTTP/2 in front of a server that does not, for the length of a closure: nghttpx.
public struct TLSProxy: Sendable {
  /// The server, as it is found at `https://localhost:PORT`.
  public let server: ObjectServer
  /// The proxy's own certificate, for `localhost` and nobody else.
  public let certificate: String
  private let log: String

  public static func run<Result>(_ server: ObjectServer, _ body: (TLSProxy) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { directory in
      let (key, certificate, log) = (directory + "/key", directory + "/certificate", directory + "/log")
      try Program.succeed(
        "openssl",
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
          + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate])
      let port = try FreePort.find()
      let target = server.endpoint.split(separator: ":").last.map(String.init) ?? ""
      return try Program.running(
        "nghttpx",
        [
          "--conf=/dev/null", "--frontend=127.0.0.1,\(port)", "--backend=127.0.0.1,\(target)", "--workers=1",
          "--no-ocsp",
          "--accesslog-file=\(log)", "--accesslog-format=$request", "--errorlog-file=\(directory)/errors", key,
          certificate,
        ]
      ) { _ in
        try Poll.until(.seconds(20), "the TLS proxy") {
          let look = ["-s", "-o", "/dev/null", "-m", "2", "--cacert", certificate, "https://localhost:\(port)/"]
          return try Program.run("curl", look).succeeded
        }
        try Data().write(to: URL(filePath: log))
        let found = try server.found(at: "https://localhost:\(port)")
        return try body(TLSProxy(server: found, certificate: certificate, log: log))
      }
    }
  }

  /// `METHOD path HTTP/version` of each request that came through it.
  public var requests: [String] {
    get throws { try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init) }
  }
}
