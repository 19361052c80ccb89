import BackupModel
import BlockingWork
import Foundation
import TestSupport
import Testing

@testable import MetricsExport

@Suite("The head of a request") struct RequestHeadTests {
  @Test(
    "is understood, or refused with the status that says why",
    arguments: [
      ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", .page(withBody: true)),
      ("GET /metrics?x=1 HTTP/1.0\n\n", .page(withBody: true)),
      ("HEAD /metrics HTTP/1.1\r\nA:\r\n\r\n", .page(withBody: false)),
      ("GET /metrics HTTP/1.1\r\nHost: a\r\n", .incomplete), ("", .incomplete), ("GET", .incomplete),
      ("POST /metrics HTTP/1.1\r\n\r\n", .refused(405, "Method Not Allowed")),
      ("GET /metrics/x HTTP/1.1\r\n\r\n", .refused(404, "Not Found")),
      ("GET / HTTP/1.1\r\n\r\n", .refused(404, "Not Found")),
      ("GET /metrics HTTP/2\r\n\r\n", .refused(505, "HTTP Version Not Supported")),
      ("GET  /metrics HTTP/1.1\r\n\r\n", .refused(400, "Bad Request")),
      ("GET http://a/metrics HTTP/1.1\r\n\r\n", .refused(400, "Bad Request")),
      ("GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", .refused(400, "Bad Request")),
      ("GET /metrics HTTP/1.1\r\nA: \u{1}\r\n\r\n", .refused(400, "Bad Request")),
      ("\r\n\r\n", .refused(400, "Bad Request")), ("\u{16}\u{3}\u{1}\n\n", .refused(400, "Bad Request")),
    ] as [(String, RequestHead)])
  func reads(text: String, expected: RequestHead) { #expect(RequestHead(Array(text.utf8)) == expected) }

  @Test("is refused where it does not end") func endless() {
    let long = Array("GET /metrics HTTP/1.1\r\n".utf8) + [UInt8](repeating: 0x41, count: RequestHead.limit)
    #expect(RequestHead(long) == .refused(431, "Request Header Fields Too Large"))
  }

  @Test("survives whatever is sent") func mutations() {
    let good = Array("GET /metrics HTTP/1.1\r\nHost: localhost:9187\r\nUser-Agent: Prometheus/2.42.0\r\n\r\n".utf8)
    var refused = 0
    for _ in 0..<20_000 {
      if case .refused = RequestHead(Mutation.of(good)) { refused += 1 }
      _ = RequestHead((0..<Int.random(in: 0...200)).map { _ in UInt8.random(in: 0...255) })
    }
    #expect(refused > 1000)
  }
}

@Suite("The metrics listener", .serialized) struct MetricsServerTests {
  private func serving(
    _ endpoint: MetricsEndpoint, timeout: Duration = .seconds(5), _ body: @escaping @Sendable (UInt16?) throws -> Void
  ) async throws {
    let board = MetricsBoard()
    // Larger than what a socket takes at once.
    board.set(String(repeating: "backupd_up 1\n", count: 100_000))
    var options = MetricsServer.Options(endpoint)
    options.timeout = timeout
    let server = MetricsServer(options, board: board)
    let (ports, input) = AsyncStream.makeStream(of: UInt16?.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { input.finish() }
        try await server.run { input.yield($0) }
      }
      var port: UInt16?
      for await found in ports {
        port = found
        break
      }
      try await Lane(label: "test").run { [port] _ in try body(port) }
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  private func curl(_ arguments: [String]) throws -> ProgramResult {
    try Program.run("curl", ["-sS", "--max-time", "20"] + arguments)
  }

  private func expectAnswer(_ path: String) throws {
    let result = try curl(["--unix-socket", path, "http://localhost/metrics"])
    #expect(result.succeeded, "\(result.standardError)")
  }

  @Test("answers curl over TCP and over a unix socket, whose file goes with it") func answers() async throws {
    try await serving(.loopback(port: 0)) { port in
      let result = try curl(["-D", "-", "http://127.0.0.1:\(port ?? 0)/metrics"])
      #expect(
        result.standardOutput.hasPrefix("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"))
      #expect(result.standardOutput.components(separatedBy: "backupd_up 1\n").count == 100_001)
      #expect(
        try curl(["-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port ?? 0)/"]).standardOutput == "404")
      let post = try curl(["-o", "/dev/null", "-w", "%{http_code}", "-d", "x", "http://127.0.0.1:\(port ?? 0)/metrics"])
      #expect(post.standardOutput == "405")
      let head = try curl(["-I", "http://127.0.0.1:\(port ?? 0)/metrics"])
      #expect(head.standardOutput.contains("Content-Length: 1300000"))
    }
    try await TemporaryDirectory.run { directory in
      let path = directory + "/metrics.sock"
      try await serving(.unix(path: path)) { _ in
        let result = try curl(["--unix-socket", path, "http://localhost/metrics"])
        #expect(result.standardOutput.hasPrefix("backupd_up 1\n"))
      }
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test("serves others while callers are silent, and lets go of those") func silent() async throws {
    try await TemporaryDirectory.run { directory in
      let path = directory + "/metrics.sock"
      try await serving(.unix(path: path), timeout: .seconds(1)) { _ in
        let silent = (0..<15).map { _ in Self.connect(path) }
        defer { for number in silent { close(number) } }
        #expect(silent.allSatisfy { $0 >= 0 })
        try expectAnswer(path)
        // Each is hung up on.
        for number in silent {
          var byte: UInt8 = 0
          var descriptor = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
          #expect(poll(&descriptor, 1, 20_000) == 1 && recv(number, &byte, 1, 0) == 0)
        }
        try expectAnswer(path)
      }
    }
  }

  @Test("survives whatever is sent to it") func mutations() async throws {
    try await TemporaryDirectory.run { directory in
      let path = directory + "/metrics.sock"
      try await serving(.unix(path: path)) { _ in
        let good = Array("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        for _ in 0..<300 {
          let number = Self.connect(path)
          let bytes = Mutation.of(good)
          _ = send(number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
          close(number)
        }
        try expectAnswer(path)
      }
    }
  }

  @Test("says what is wrong where it cannot listen") func taken() async throws {
    try await serving(.loopback(port: 0)) { _ in }
    try await TemporaryDirectory.run { directory in
      let server = MetricsServer(.init(.unix(path: directory + "/missing/metrics.sock")), board: MetricsBoard())
      let error = await #expect(throws: MetricsError.self) { try await server.run() }
      #expect(error?.summary == "could not listen on unix:\(directory)/missing/metrics.sock for metrics")
    }
  }

  private static func connect(_ path: String) -> Int32 {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    let result = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    return result == 0 ? number : -1
  }
}
