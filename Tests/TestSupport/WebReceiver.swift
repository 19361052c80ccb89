internal import FoundationEssentials

/// A real HTTP server on loopback that keeps each POST in a file, for the length of a closure.
public struct WebReceiver: Sendable {
  public let url: String
  public let directory: String

  public struct Request: Sendable, Decodable {
    public var path: String
    public var headers: [String: String]
    public var body: String
  }

  public static func run<Result>(
    directory: String, port: UInt16? = nil, _ body: (WebReceiver) throws -> Result
  ) throws -> Result {
    let port = try port ?? FreePort.find()
    return try Program.running(
      try TestParts.python(), [try TestParts.path("http-receiver.py"), directory, "\(port)"]
    ) { program in
      try program.waitForOutput(containing: "endpoint=")
      return try body(WebReceiver(url: "http://127.0.0.1:\(port)", directory: directory))
    }
  }

  public static func run<Result>(
    directory: String, isolation: isolated (any Actor)? = #isolation, _ body: (WebReceiver) async throws -> Result
  ) async throws -> Result {
    let port = try FreePort.find()
    return try await Program.running(
      try TestParts.python(), [try TestParts.path("http-receiver.py"), directory, "\(port)"]
    ) { program in
      try program.waitForOutput(containing: "endpoint=")
      return try await body(WebReceiver(url: "http://127.0.0.1:\(port)", directory: directory))
    }
  }

  /// Its next answers, in order: `429 Retry-After: 1`, `500`, `404 no_service`; then 200 again.
  public func answer(_ lines: String...) throws {
    try lines.map { $0 + "\n" }.joined().write(toFile: directory + "/answer", atomically: true, encoding: .utf8)
  }

  /// All it has got, in order, also those it answered otherwise.
  public func requests() throws -> [Request] {
    try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".json") }.sorted().map {
      try JSONDecoder().decode(Request.self, from: Data(contentsOf: URL(filePath: directory + "/" + $0)))
    }
  }
}
