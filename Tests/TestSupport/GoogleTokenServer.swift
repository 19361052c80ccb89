internal import Foundation

/// Gives out tokens as Google does, `token-1`, `token-2` and so on over HTTP on loopback, and keeps what it was asked.
public struct GoogleTokenServer: Sendable {
  public let endpoint: String
  /// Where it keeps what it was asked, and where others may keep what belongs to it.
  public let directory: String

  private static let script = """
    import http.server, json, sys
    count = 0
    class Handler(http.server.BaseHTTPRequestHandler):
      def answer(self):
        global count
        count += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        open(f"{sys.argv[1]}/{count}", "w").write(str(self.headers) + body)
        status, content = 200, {"access_token": f"{sys.argv[2]}-{count}", "expires_in": 3600, "token_type": "Bearer"}
        if self.path.startswith("/refuse/"):
          status = int(self.path.rsplit("/", 1)[1])
          content = {"error": "invalid_grant", "error_description": "no such account"}
        data = json.dumps(content).encode()
        self.send_response(status)
        if self.path.startswith("/computeMetadata/"): self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
      do_GET = do_POST = answer
      def log_message(self, *words): pass
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(f"port={server.server_port};", flush=True)
    server.serve_forever()
    """

  /// - Parameter token: What tokens begin with.
  public static func run<Result>(
    token: String = "token", _ body: (GoogleTokenServer) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { directory in
      try Program.running("python3", ["-c", script, directory, token]) { program in
        try program.waitForOutput(containing: ";")
        let port = program.standardOutput.drop { $0 != "=" }.dropFirst().prefix { $0 != ";" }
        return try body(GoogleTokenServer(endpoint: "http://127.0.0.1:\(port)", directory: directory))
      }
    }
  }

  /// Headers and body of a request, counted from 1.
  public func request(_ number: Int) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(number)")), as: UTF8.self)
  }
}
