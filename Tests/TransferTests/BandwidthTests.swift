import BlockingWork
import Foundation
import TestSupport
import Testing

@testable import Transfer

@Suite("A bandwidth limit") struct BandwidthTests {
  private typealias Instant = ContinuousClock.Instant

  private func wait(_ answer: BandwidthLine.Answer) -> Duration? {
    if case .wait(let time) = answer { time } else { nil }
  }

  /// Lets transfers go one after another on a clock of its own.
  /// - Parameters:
  ///   - lasting: How long each takes, whatever it moves.
  ///   - check: Given what has moved and how long that took, whenever another one goes.
  private func run(
    _ count: Int, rate: Int, lasting: ClosedRange<Int64>, check: (_ moved: Int64, _ time: Duration) -> Void
  ) {
    let begin = Instant.now
    var now = begin
    var line = BandwidthLine(rate: rate, at: begin)
    var moved: Int64 = 0
    for _ in 0..<count {
      let room = Int.random(in: 1...(8 << 20))
      let turn = line.join()
      var answer = line.ask(turn, for: room, at: now)
      if let time = wait(answer) {
        let early = line.ask(turn, for: room, at: now.advanced(by: time - .microseconds(1)))
        #expect(wait(early) != nil)
        now = now.advanced(by: time)
        answer = line.ask(turn, for: room, at: now)
      }
      guard case .go(let share) = answer else {
        Issue.record("it waits longer than it was told")
        return
      }
      check(moved, now - begin)
      // Less than there was room for, and sometimes more: a body that was sent twice.
      let part = Int64.random(in: 0...Int64(room * 2))
      now = now.advanced(by: .milliseconds(Int64.random(in: lasting)))
      line.end(share, moved: part, at: now)
      moved += part
    }
  }

  @Test("lets no more go than its rate, whatever was asked for and however long it took")
  func rate() {
    let rate = 64 << 10
    run(2000, rate: rate, lasting: 0...200_000) { moved, time in
      // Each is rounded down to a microsecond.
      #expect(moved <= Int64(time / .seconds(1) * Double(rate)) + 2000)
    }
  }

  @Test("has nobody wait for what was asked for and did not move")
  func unused() {
    let rate = 64 << 10
    run(2000, rate: rate, lasting: 0...0) { moved, time in
      #expect(time <= .microseconds(moved * 1_000_000 / Int64(rate) + 2000))
    }
  }

  @Test("keeps the order of those who wait, and forgets who went away")
  func turns() {
    let now = Instant.now
    var line = BandwidthLine(rate: 1000, at: now)
    let turns = (0..<3).map { _ in line.join() }
    guard case .go(let share) = line.ask(turns[0], for: 5000, at: now) else {
      Issue.record("the first one waits")
      return
    }
    func ask(_ turn: Int, after time: Duration = .zero) -> Duration? {
      wait(line.ask(turns[turn], for: 1000, at: now.advanced(by: time)))
    }
    #expect(ask(1) == .seconds(5))
    // It is not its turn, however free the line is.
    #expect(ask(2, after: .seconds(60)) != nil)
    line.leave(turns[1])
    #expect(ask(2) == .seconds(5))
    // What is small goes at once, and counts.
    let small = line.take(0, at: now)
    line.end(small, moved: 500, at: now)
    line.end(share, moved: 2000, at: now)
    #expect(ask(2) == .milliseconds(2500))
    #expect(ask(2, after: .milliseconds(2500)) == nil)
  }

  @Test("gives back what a cancelled transfer did not need")
  func cancelled() throws {
    // A transfer of these bytes would hold the line for a quarter of an hour.
    let limit = BandwidthLimit(rate: 1000)
    let share = try limit.begin(1_000_000, Cancellation())
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: CancellationError.self) { try limit.begin(1_000_000, cancellation) }
    limit.end(share, moved: 10)
    let next = try limit.begin(1_000_000, Cancellation())
    limit.end(next, moved: 0)
  }

  @Test("counts what came, and not the room for it")
  func answers() throws {
    try GoogleTokenServer.run { server in
      var options = TransferOptions()
      options.limit = BandwidthLimit(rate: 8 << 10)
      let client = HTTPClient(options)
      // The room alone would hold up the next one for two minutes.
      var room = [UInt8](repeating: 0, count: 1 << 20)
      let begin = ContinuousClock.now
      for _ in 0..<3 {
        let response = try room.withUnsafeMutableBytes {
          try client.send(HTTPRequest(.get, server.endpoint + "/"), into: .memory($0), Cancellation())
        }
        #expect(response.isSuccess && response.received > 0)
      }
      #expect(ContinuousClock.now - begin < .seconds(100))
    }
  }
}

@Suite("How long a transfer may take") struct AllowanceTests {
  private static let pack: Int64 = 32 << 20

  @Test("is enough for a whole pack at the floor, and has an end")
  func floor() {
    let options = TransferOptions()
    #expect(options.allowance(0) == .seconds(60))
    #expect(options.allowance(Self.pack) == .seconds(60 + Self.pack / (4 << 10)))
  }

  @Test("is enough for whole packs over a line that all transfers share", arguments: [16, 32, 57, 1024])
  func shared(kibibytes: Int) {
    var options = TransferOptions()
    options.limit = BandwidthLimit(rate: kibibytes << 10)
    let whole = Self.pack * Int64(options.connections) / Int64(kibibytes << 10)
    #expect(options.allowance(Self.pack) > .seconds(whole))
    #expect(options.pace * options.connections <= kibibytes << 10 && options.pace <= options.floor)
  }

  /// At so low a rate libcurl sends what it has read at once, and then waits: longer than the server may be silent.
  @Test("is no shorter because of the limit's own pauses")
  func pauses() throws {
    let script = """
      import http.server
      class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
          count = int(self.headers["Content-Length"])
          while count > 0: count -= len(self.rfile.read(min(count, 65536)))
          self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
        def log_message(self, *words): pass
      server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
      print(f"{server.server_port};", flush=True)
      server.serve_forever()
      """
    try Program.running("python3", ["-c", script]) { program in
      try program.waitForOutput(containing: ";")
      let port = program.standardOutput.prefix { $0 != ";" }
      var options = TransferOptions()
      options.limit = BandwidthLimit(rate: 128 << 10)
      options.patience = .seconds(1)
      let body = [UInt8](repeating: 7, count: 1_200_000)
      let response = try body.withUnsafeBytes {
        try HTTPClient(options).send(HTTPRequest(.put, "http://127.0.0.1:\(port)/"), body: [$0], Cancellation())
      }
      #expect(response.isSuccess)
    }
  }
}
