import Glibc
import TestSupport
import Testing

@testable import Varlink

private let echoed = #"{"parameters":{"text":"hello"}}"#
private let hello = #"{"text":"hello"}"#

@Suite("A Varlink server") struct VarlinkServerTests {
  @Test("answers calls in their order, several in one write")
  func pipelined() async throws {
    try await withServer { path in
      try await blocking {
        let caller = try RawCaller(path)
        let texts = (0..<50).map { "\($0)" }
        caller.send(
          texts.map { #"{"method":"io.backupd.test.Echo","parameters":{"text":"\#($0)"}}"# + "\0" }.joined())
        #expect(texts.map { _ in caller.message() } == texts.map { #"{"parameters":{"text":"\#($0)"}}"# })
      }
    }
  }

  @Test("says what it is and which errors a call met")
  func service() async throws {
    try await withServer { path in
      try await blocking {
        let caller = try RawCaller(path)
        caller.send("{\"method\":\"org.varlink.service.GetInfo\"}\0")
        #expect(caller.message()?.contains(#""interfaces":["org.varlink.service","io.backupd.test"]"#) == true)
        for (method, error) in [
          ("org.varlink.service.Get", "org.varlink.service.MethodNotFound"),
          ("io.backupd.test.Nothing", "org.varlink.service.MethodNotFound"),
          ("io.backupd.other.Echo", "org.varlink.service.InterfaceNotFound"),
          ("Echo", "org.varlink.service.InterfaceNotFound"),
          ("io.backupd.test.Echo", "org.varlink.service.InvalidParameter"),
        ] {
          caller.send("{\"method\":\"\(method)\"}\0")
          #expect(caller.message()?.hasPrefix("{\"error\":\"\(error)\"") == true)
        }
        caller.call("Echo", hello)
        #expect(caller.message() == echoed)
      }
    }
  }

  @Test(
    "tells who sends no Varlink so, and closes",
    arguments: [
      ("hello", 1), ("", 1), ("{}", 1), ("GET / HTTP/1.1\r\n\r\n", 1), ("xy", 1 << 20), ("{\"method\":", 1 << 18),
    ])
  func garbage(text: String, count: Int) async throws {
    try await withServer { path in
      try await blocking {
        let caller = try RawCaller(path)
        caller.send(String(repeating: text, count: count) + "\0")
        #expect(caller.message()?.contains("io.backupd.test.Refused") == true)
        #expect(caller.message() == nil)
      }
    }
  }

  @Test("answers a caller that has stopped sending, then closes")
  func halfClosed() async throws {
    try await withServer { path in
      try await blocking {
        let caller = try RawCaller(path)
        caller.call("Echo", hello)
        caller.call("Echo", hello)
        caller.stopSending()
        #expect([caller.message(), caller.message(), caller.message()] == [echoed, echoed, nil])
      }
    }
  }

  @Test("does a oneway call for a caller that left at once")
  func oneway() async throws {
    let service = SituationService()
    try await withServer(service) { path in
      try await blocking { try RawCaller(path).call("Echo", hello, flags: ",\"oneway\":true") }
      try await blocking { try Poll.until(.seconds(30), "the call") { service.ended == ["Echo"] } }
    }
  }

  @Test("ends a call whose caller hangs up, and only that one", arguments: ["Stream", "Wait"])
  func hangUp(method: String) async throws {
    let service = SituationService()
    try await withServer(service) { path in
      let staying = try await blocking {
        let staying = try RawCaller(path)
        staying.call("Wait", flags: ",\"more\":true")
        #expect(staying.message()?.contains("waiting") == true)
        let leaving = try RawCaller(path)
        leaving.call(method, flags: ",\"more\":true")
        #expect(leaving.message()?.contains("\"continues\":true") == true)
        return staying
      }
      try await blocking { try Poll.until(.seconds(30), "the end of the call") { service.ended == [method] } }
      _ = staying
    }
    #expect(service.ended.count == 2)
  }

  @Test("closes the connection of a call that broke")
  func broken() async throws {
    try await withServer { path in
      try await blocking {
        let caller = try RawCaller(path)
        caller.call("Break")
        #expect(caller.message() == nil)
      }
    }
  }

  @Test("cuts off who takes no answers, and who says nothing")
  func deadlines() async throws {
    let service = SituationService()
    try await withServer(service) { options in
      options.writeTimeout = .milliseconds(50)
      options.idleTimeout = .milliseconds(50)
    } _: { path in
      let slow = try await blocking {
        let silent = try RawCaller(path)
        silent.send("{")
        #expect(silent.message() == nil)
        let slow = try RawCaller(path)
        slow.call("Stream", flags: ",\"more\":true")
        return slow
      }
      try await blocking { try Poll.until(.seconds(30), "the end of the call") { service.ended == ["Stream"] } }
      _ = slow
    }
  }

  @Test("hears a caller among 200 that are silent, speak nonsense, or half of it")
  func crowd() async throws {
    try await withServer { path in
      try await blocking {
        let crowd = try (0..<200).map { number in
          let caller = try RawCaller(path)
          caller.send(["", "{\"method\":", "nonsense\0", String(repeating: "y", count: 70_000)][number % 4])
          return caller
        }
        for _ in 0..<20 {
          let caller = try RawCaller(path)
          caller.call("Echo", hello)
          #expect(caller.message() == echoed)
        }
        // The oldest silent one made room.
        #expect(crowd[0].message()?.contains("tooManyConnections") == true)
        #expect(crowd[0].message() == nil)
      }
    }
  }

  @Test("refuses a user's next connection only where all are in a call")
  func limits() async throws {
    try await withServer { options in
      options.trustedUsers = []
      options.maximumConnectionsPerUser = 2
    } _: { path in
      try await blocking {
        let busy = try (0..<2).map { _ in
          let caller = try RawCaller(path)
          caller.call("Wait", flags: ",\"more\":true")
          #expect(caller.message()?.contains("waiting") == true)
          return caller
        }
        let refused = try RawCaller(path)
        #expect(refused.message()?.contains("tooManyConnections") == true)
        #expect(refused.message() == nil)
        withExtendedLifetime(busy) {}
      }
    }
  }

  @Test("ends its calls and removes its socket when it stops")
  func stops() async throws {
    let service = SituationService()
    let (path, caller) = try await withServer(service) { path in
      try await blocking {
        let caller = try RawCaller(path)
        caller.call("Wait", flags: ",\"more\":true")
        #expect(caller.message()?.contains("waiting") == true)
        return (path, caller)
      }
    }
    #expect(service.ended == ["Wait"])
    #expect(access(path, F_OK) != 0)
    let last = try await blocking { caller.message() }
    #expect(last == nil)
  }

  @Test("survives random bytes, cut anywhere")
  func fuzz() async throws {
    try await withServer { path in
      try await blocking {
        var generator = Seeded(state: 7)
        let call = Array(
          "{\"method\":\"io.backupd.test.Echo\",\"parameters\":{\"text\":\"hello\"},\"more\":true}\0".utf8)
        for _ in 0..<300 {
          let caller = try RawCaller(path)
          var bytes = (0..<Int.random(in: 1...4, using: &generator)).flatMap { _ in call }
          for _ in 0..<Int.random(in: 0...8, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
          }
          caller.send(Array(bytes.prefix(Int.random(in: 1...bytes.count, using: &generator))))
        }
        let caller = try RawCaller(path)
        caller.call("Echo", hello)
        #expect(caller.message() == echoed)
      }
    }
  }
}

@Suite("The socket of a Varlink server") struct VarlinkListenerTests {
  @Test("has its directory made and its mode set")
  func mode() async throws {
    try await withServer {
      $0.mode = 0o640
    } _: { path in
      var status = stat()
      #expect(lstat(path, &status) == 0 && status.st_mode & 0o7777 == 0o640)
    }
  }

  @Test("replaces one that nobody answers on")
  func replacesDead() async throws {
    try await TemporaryDirectory.run { directory in
      let path = directory + "/socket"
      do {
        let dead = try VarlinkSocket(path: path)
        #expect(try dead.bind(to: path) == 0)
        listen(dead.number, 1)
      }
      #expect(access(path, F_OK) == 0)
      try await withServer(at: path) { path in
        try await blocking {
          let caller = try RawCaller(path)
          caller.call("Echo", hello)
          #expect(caller.message() == echoed)
        }
      }
    }
  }

  @Test("is refused where somebody answers, who is not disturbed")
  func refusesLive() async throws {
    try await withServer { path in
      await #expect(throws: VarlinkError.socketInUse(path: path)) { try await withServer(at: path) { _ in } }
      try await blocking {
        let caller = try RawCaller(path)
        caller.call("Echo", hello)
        #expect(caller.message() == echoed)
      }
    }
  }

  @Test("is refused in place of a file, and where the path is too long")
  func refusesOthers() async throws {
    try await TemporaryDirectory.run { directory in
      let path = directory + "/file"
      close(open(path, O_CREAT | O_WRONLY, 0o600))
      await #expect(throws: VarlinkError.notASocket(path: path)) { try await withServer(at: path) { _ in } }
      #expect(access(path, F_OK) == 0)
      let long = directory + "/" + String(repeating: "x", count: 120)
      await #expect(throws: VarlinkError.pathTooLong(path: long, limit: 107)) {
        try await withServer(at: long) { _ in }
      }
    }
  }

  @Test("stays when another server has taken its place")
  func keepsOthers() async throws {
    let service = SituationService()
    try await TemporaryDirectory.run { directory in
      let path = directory + "/socket"
      try await withServer(service, at: path) { path in
        unlink(path)
        let other = try VarlinkSocket(path: path)
        #expect(try other.bind(to: path) == 0)
      }
      #expect(access(path, F_OK) == 0)
    }
  }
}
