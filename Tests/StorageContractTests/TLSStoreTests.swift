import BackupModel
import BlockingWork
import Storage
import TestSupport
import Testing
import Transfer

@Suite("A store behind TLS", .serialized) struct TLSStoreTests {
  @Test("is spoken to by HTTP/2, by a certificate that is trusted, and by no other")
  func verified() throws {
    try ObjectServer.run(.rclone) { server in
      try server.makeBucket("safe")
      try TLSProxy.run(server) { proxy in
        var options = TransferOptions()
        options.certificateFile = proxy.certificate
        let store = TestBucket.store("safe", on: proxy.server, options: options)
        let name = try #require(ObjectName("a/b"))
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
        #expect(try store.readAll(name) == bytes && store.list(below: "a").objects.map(\.name) == [name])
        let seen = try proxy.requests
        #expect(seen.count > 3 && seen.allSatisfy { $0.hasSuffix("HTTP/2") }, "\(seen)")

        // Nothing that is no option of ours lets it pass: neither who is not known, nor another name.
        let stranger = TestBucket.store("safe", on: proxy.server)
        let elsewhere = TestBucket.store(
          "safe", on: try proxy.server.found(at: proxy.server.endpoint.replacing("localhost", with: "127.0.0.1")),
          options: options)
        for refused in [stranger, elsewhere] {
          let error = #expect(throws: StorageError.self) { try refused.list(below: "") }
          let report = error.map { ErrorReport($0) }
          #expect(report?.detail?.lowercased().contains("certificate") == true, "\(String(describing: report))")
        }
        #expect(try proxy.requests == seen)
      }
    }
  }
}
