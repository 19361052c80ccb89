internal import FoundationEssentials

/// A proxy before a server that misbehaves by a seeded plan, for the length of a closure: `Tests/Faults/fault-proxy.py`.
public struct FaultProxy: Sendable {
  /// What it does to a request or its answer, or to a connection of SFTP's.
  public enum Fault: String, Sendable, Codable, CaseIterable {
    case resetBefore = "reset-before"
    case resetRequest = "reset-request"
    /// The server has done what was asked; nobody hears of it.
    case resetAfter = "reset-after"
    case resetResponse = "reset-response"
    case closeResponse = "close-response"
    case error200 = "error-200"
    case slowDown = "slow-down"
    case error500 = "error-500"
    case longLength = "long-length"
    case shortLength = "short-length"
    case delay, drip, corrupt
    /// Done by the server, and never answered.
    case hang
    /// The whole answer, under a length that promises more, and then nothing.
    case hangLength = "hang-length"
    /// Byte after byte, below any rate that a transfer must keep: the answer, or what is sent.
    case crawl
    case crawlRequest = "crawl-request"
    /// Asked twice of the server; the second answer, or the first one, is passed on.
    case `repeat`
    case repeatFirst = "repeat-first"
    case staleList = "stale-list"
    case newMissing = "new-missing"
    /// Of connections, in mode TCP.
    case reset, close, stall

    /// Those that a client can tell from an answer: each costs one attempt, and loses nothing.
    public static let loud: [Fault] = [
      .resetBefore, .resetRequest, .resetAfter, .resetResponse, .closeResponse, .error200, .slowDown, .error500,
      .longLength, .shortLength,
    ]
    /// Those that last until the client has had enough; each costs one attempt, and is found by its patience alone.
    public static let stalls: [Fault] = [.hang, .hangLength, .crawl, .crawlRequest]
    /// What a connection of SFTP's can suffer.
    public static let ofConnections: [Fault] = [.reset, .close, .delay]
    public static let connectionStalls: [Fault] = [.stall, .crawl]
    /// Those that only take time.
    public static let slow: [Fault] = [.delay, .drip]
    /// Those that look like answers, and are none.
    public static let lies: [Fault] = [.repeat, .repeatFirst, .staleList, .newMissing, .corrupt]
  }

  public struct Plan: Sendable, Codable {
    public var seed: UInt64
    /// Of requests that `match` finds, from 0 to 1.
    public var rate: Double
    public var faults: [Fault]
    /// A regular expression of Python's on `METHOD path?query`.
    public var match: String
    /// So many faults at most.
    public var limit: Int
    /// Whether each kind of request meets each fault once, one after another, whatever `rate` says.
    public var inTurn: Bool

    public init(
      _ faults: [Fault], rate: Double, seed: UInt64 = 0, match: String = "", limit: Int = 1 << 40,
      inTurn: Bool = false
    ) {
      (self.faults, self.rate, self.seed, self.match, self.limit) = (faults, rate, seed, match, limit)
      self.inTurn = inTurn
    }
    public static let none = Plan([], rate: 0)
  }

  /// What it has done since the plan began.
  public struct Counts: Sendable, Codable {
    public var requests: Int
    /// By method; lists as `LIST`.
    public var kinds: [String: Int]
    public var faults: [String: Int]
    /// Faults that ``Fault/loud`` and ``Fault/stalls`` hold, and those of that kind that were the server's own.
    public var loud: Int
    /// Stalls that the proxy ended, since the client would not.
    public var outlasted: Int
  }

  /// The server, as it is found through the proxy.
  public let server: ObjectServer
  private let control: String

  public static func run<Result>(_ server: ObjectServer, _ body: (FaultProxy) throws -> Result) throws -> Result {
    let script = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Faults/fault-proxy.py"
    let port = "\(try FreePort.find())"
    let control = "\(try FreePort.find())"
    let target = server.endpoint.split(separator: ":").last.map(String.init) ?? ""
    let mode = server.kind == .sftp ? "tcp" : "http"
    // A signature is made for the host that the client names; Google's protocol finds buckets by it.
    let more = server.kind == .gcs ? ["--host-of-target"] : []
    return try Program.running(
      "/usr/bin/python3", [script, mode, port, control, "127.0.0.1", target] + more
    ) { program in
      try program.waitForOutput(containing: "ready")
      let endpoint = server.endpoint.dropLast(target.utf8.count) + port
      let found = try server.found(at: String(endpoint))
      return try body(FaultProxy(server: found, control: "http://127.0.0.1:\(control)/"))
    }
  }

  /// Begins a plan, with all counts at zero.
  /// - Returns: What was done by the plan before.
  @discardableResult
  public func begin(_ plan: Plan) throws -> Counts {
    let text = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
    return try ask(["--data-binary", text])
  }

  public var counts: Counts { get throws { try ask([]) } }

  private func ask(_ arguments: [String]) throws -> Counts {
    let answer = try Program.succeed("/usr/bin/curl", ["-sS", "--fail", "-m", "30"] + arguments + [control])
    return try JSONDecoder().decode(Counts.self, from: Data(answer.utf8))
  }
}
