import BackupModel
import Foundation
import TestSupport
import Transfer

@testable import Storage

/// A server on loopback that gives the answers it was told, one after another and the last one for ever, whatever it is
/// asked: for what no real server says twice.
struct ScriptedServer {
  struct Answer: Encodable, Sendable {
    var status = 200
    var headers: [String: String] = [:]
    var body = ""

    static func error(_ status: Int, _ code: String, headers: [String: String] = [:]) -> Answer {
      Answer(status: status, headers: headers, body: "<Error><Code>\(code)</Code></Error>")
    }
    static let emptyList = Answer(body: "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    static let versioned = Answer(
      body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
  }

  private static let script = """
    import http.server, json, sys, threading
    answers, lock = json.loads(sys.argv[1]), threading.Lock()
    class Handler(http.server.BaseHTTPRequestHandler):
      def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with lock:
          answer = answers.pop(0) if len(answers) > 1 else answers[0]
          print(self.command, self.path, flush=True)
        data = answer["body"].encode()
        self.send_response(answer["status"])
        for name, value in answer["headers"].items(): self.send_header(name, value)
        self.send_header("Content-Length", str(len(data))); self.end_headers()
        if self.command != "HEAD": self.wfile.write(data)
      do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer
      def log_message(self, *words): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
    """

  private let endpoint: String
  private let program: RunningProgram

  static func run(_ answers: [Answer], _ body: (ScriptedServer) throws -> Void) throws {
    let text = String(decoding: try JSONEncoder().encode(answers), as: UTF8.self)
    try Program.running("python3", ["-c", script, text]) { program in
      try program.waitForOutput(containing: "\n")
      let port = program.standardOutput.prefix { !$0.isNewline }
      try body(ScriptedServer(endpoint: "http://127.0.0.1:\(port)", program: program))
    }
  }

  /// What it was asked so far: `GET /bucket?list-type=2`.
  var requests: [String] {
    program.standardOutput.split(whereSeparator: \.isNewline).dropFirst().map(String.init)
  }

  /// A store in its bucket `b` that makes no request twice without need, and gives up soon.
  func store(
    keys: @escaping @Sendable () throws -> AWSKeys = { AWSKeys(accessKey: "a", secretKey: "b") }
  ) -> S3Store {
    S3Store(
      S3Settings(bucket: "b", region: "us-east-1", endpoint: endpoint),
      credentials: AWSCredentials(.configured(keys), environment: [:]),
      retries: Self.retries)
  }

  /// The same in Google's protocol.
  func googleStore() -> GCSStore {
    GCSStore(
      GCSSettings(bucket: "b", endpoint: endpoint), credentials: GCPCredentials(.anonymous, environment: [:]),
      retries: Self.retries)
  }

  private static let retries = RetrySchedule(
    total: .milliseconds(500), first: .milliseconds(1), longest: .milliseconds(20), beyond: .zero)
}
