import Testing

@testable import Varlink

private struct Pair: VarlinkParameters, Equatable {
  static let fields: Set<String> = ["name", "count"]
  var name: String
  var count: Int?
}

@Suite("Varlink messages") struct VarlinkMessageTests {
  @Test("come out of the stream whole, wherever it was cut")
  func framing() throws {
    let wire = Array("{\"a\":1}\0{}\0{\"long\":\"xyz\"}\0".utf8)
    for size in 1...wire.count {
      var buffer = VarlinkFrameBuffer()
      var messages: [String] = []
      for start in stride(from: 0, to: wire.count, by: size) {
        buffer.append(wire[start..<min(start + size, wire.count)])
        while let message = try buffer.next() { messages.append(String(decoding: message, as: UTF8.self)) }
      }
      #expect(messages == ["{\"a\":1}", "{}", "{\"long\":\"xyz\"}"])
      #expect(buffer.count == 0)
    }
  }

  @Test("are refused above the limit, closed or not", arguments: [false, true])
  func limit(isClosed: Bool) throws {
    var buffer = VarlinkFrameBuffer(limit: 10)
    buffer.append(Array("0123456789\0".utf8))
    #expect(try buffer.next()?.count == 10)
    buffer.append(Array("01234567890".utf8) + (isClosed ? [0] : []))
    #expect(throws: VarlinkError.messageTooLarge(limit: 10)) { try buffer.next() }
  }

  @Test("carry their flags and parameters there and back")
  func roundTrip() throws {
    let bytes = try VarlinkRequest.encode("a.b.Do", Pair(name: "x\u{0}\"é", count: 3), more: true)
    #expect(bytes.last == 0 && !bytes.dropLast().contains(0))
    let request = try VarlinkRequest(decoding: Array(bytes.dropLast()))
    #expect(request.method == "a.b.Do" && request.interface == "a.b" && request.more && !request.oneway)
    #expect(try request.parameters(as: Pair.self) == Pair(name: "x\u{0}\"é", count: 3))
    let reply = try VarlinkReply(decoding: Array(VarlinkReply.encode(["k": 1], continues: true).dropLast()))
    #expect(reply.continues && reply.error == nil)
    #expect(try reply.parameters(as: [String: Int].self) == ["k": 1])
  }

  @Test(
    "name the parameter that is wrong",
    arguments: [
      (#"{"method":"a.B","parameters":{"count":1}}"#, "name"),
      (#"{"method":"a.B"}"#, "name"),
      (#"{"method":"a.B","parameters":{"name":1}}"#, "name"),
      (#"{"method":"a.B","parameters":{"name":"x","count":"1"}}"#, "count"),
      (#"{"method":"a.B","parameters":{"name":"x","count":99999999999999999999}}"#, "parameters"),
      (#"{"method":"a.B","parameters":{"name":"x","cuont":1}}"#, "cuont"),
      (#"{"method":"a.B","parameters":[1]}"#, "parameters"),
    ])
  func wrongParameters(text: String, field: String) throws {
    let request = try VarlinkRequest(decoding: Array(text.utf8))
    let error = #expect(throws: VarlinkErrorReply.self) { try request.parameters(as: Pair.self) }
    #expect(error?.name == "org.varlink.service.InvalidParameter")
    #expect(error?.parameters as? [String: String] == ["parameter": field])
  }

  @Test(
    "that are no calls are refused",
    arguments: [
      "", "x", "null", "[]", "{}", #"{"method":1}"#, #"{"method":"a.B","upgrade":true}"#,
      #"{"method":"a.B","more":"yes"}"#, "[", #"{"parameters":"#,
    ])
  func malformed(text: String) {
    for count in [1, 100_000] {
      let bytes = Array(String(repeating: text, count: count).utf8)
      #expect(throws: VarlinkError.self) { try VarlinkRequest(decoding: bytes) }
    }
  }

  @Test("never trap the decoder, whatever their bytes")
  func mutations() throws {
    var generator = Seeded(state: 2)
    let seeds = [
      #"{"method":"io.backupd.Control.RunJob","parameters":{"name":"nightly","count":12},"more":true}"#,
      #"{"parameters":{"name":"\u00e9\ud83d\ude00","count":-1e3},"continues":true,"error":"a.b.C"}"#,
    ].map { Array($0.utf8) }
    for round in 0..<4000 {
      var bytes = seeds[round % 2]
      for _ in 0..<Int.random(in: 1...6, using: &generator) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: bytes[place...].prefix(9), at: place)
        default: bytes.removeLast(min(bytes.count, 5))
        }
      }
      _ = try? VarlinkRequest(decoding: bytes).parameters(as: Pair.self)
      _ = try? VarlinkReply(decoding: bytes).parameters(as: Pair.self)
    }
  }
}

/// Random numbers that are the same in each run.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    // SplitMix64.
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
