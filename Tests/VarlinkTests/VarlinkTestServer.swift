import BlockingWork
import Glibc
import Synchronization
import TestSupport

@testable import Varlink

/// A service whose methods are the situations a server gets into.
final class SituationService: VarlinkService {
  let information = VarlinkServiceInformation(vendor: "tests", product: "situations", version: "1", url: "about:blank")
  let interface = "io.backupd.test"
  let interfaceDescription = "interface io.backupd.test\n\nmethod Echo(text: string) -> (text: string)\n"

  /// Methods that ended, oneway ones among them.
  private let endings = Mutex<[String]>([])
  var ended: [String] { endings.withLock { $0 } }

  struct Text: VarlinkParameters {
    static let fields: Set<String> = ["text"]
    var text: String
  }

  func answer(_ call: VarlinkCall) async throws {
    let method = String(call.request.method.dropFirst(interface.count + 1))
    defer { endings.withLock { $0.append(method) } }
    switch method {
    case "Echo": try await call.reply(call.request.parameters(as: Text.self))
    // Replies for ever.
    case "Stream":
      while true { try await call.reply(Text(text: String(repeating: "x", count: 1000)), continues: true) }
    // Replies once and then waits to be cancelled.
    case "Wait":
      if call.request.more { try await call.reply(Text(text: "waiting"), continues: true) }
      let (nothing, continuation) = AsyncStream.makeStream(of: Never.self)
      for await _ in nothing {}
      continuation.finish()
      throw CancellationError()
    case "Break": throw CancellationError()
    default: throw VarlinkErrorReply.methodNotFound(call.request.method)
    }
  }

  func reply(to refusal: VarlinkRefusal) -> VarlinkErrorReply {
    VarlinkErrorReply("io.backupd.test.Refused", ["why": "\(refusal)"])
  }
}

/// Runs a server for the length of `body`, which gets the socket's path.
func withServer<Result: Sendable>(
  _ service: SituationService = SituationService(), at path: String? = nil,
  _ configure: (inout VarlinkServerOptions) -> Void = { _ in },
  _ body: @escaping @Sendable (String) async throws -> Result
) async throws -> Result {
  try await TemporaryDirectory.run { directory in
    var options = VarlinkServerOptions(path: path ?? directory + "/run/socket")
    configure(&options)
    let server = VarlinkServer(options: options, service: service)
    let (ready, continuation) = AsyncStream.makeStream(of: Void.self)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { continuation.finish() }
        try await server.run { continuation.finish() }
      }
      for await _ in ready {}
      let result = try await body(options.path)
      group.cancelAll()
      try await group.waitForAll()
      return result
    }
  }
}

/// Runs code that blocks, away from the pool the server's tasks need.
func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await Lane(label: "test").run { _ in try body() }
}

/// A caller that may send anything, half a message among it. Its reads end after 30 seconds, whatever happens.
final class RawCaller: Sendable {
  let number: CInt

  init(_ path: String) throws {
    let socket = try VarlinkSocket(path: path)
    let code = try socket.connect(to: path)
    guard code == 0 else { throw VarlinkError.connectionRefused(path: path, code: code) }
    number = dup(socket.number)
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(number) }

  func send(_ text: String) { send(Array(text.utf8)) }
  /// Sends what the server takes; what it refuses is the server's answer.
  func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty, let count = try? VarlinkSocket.send(rest, to: number), count > 0 {
      rest = rest.dropFirst(count)
    }
  }
  func call(_ method: String, _ parameters: String = "{}", flags: String = "") {
    send("{\"method\":\"io.backupd.test.\(method)\",\"parameters\":\(parameters)\(flags)}\0")
  }

  /// The next message; nil where the server closed the connection.
  func message() -> String? {
    var bytes: [UInt8] = []
    while let byte = try? VarlinkSocket.receive(upTo: 1, from: number), let byte = byte.first {
      if byte == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
    return nil
  }
  func stopSending() { shutdown(number, CInt(SHUT_WR)) }
}
