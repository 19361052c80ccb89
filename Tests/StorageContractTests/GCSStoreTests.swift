import BackupModel
import BlockingWork
import Foundation
import TestSupport
import Testing
import Transfer

@testable import Storage

@Suite("A store in a bucket of Google's", .serialized) struct GCSStoreTests {
  @Test("keeps the contract of stores")
  func contract() throws {
    try ObjectServer.run(.gcs) { server in
      try make("contract", on: server)
      for (number, (what, check)) in StorageContract.checks.enumerated() {
        do {
          try check(StorageContract(store: store("contract", on: server, prefix: "check/\(number)")))
        } catch {
          Issue.record("\(what): \(ErrorReport(error))")
        }
      }
    }
  }

  @Test("pages through long lists, and hides what lies below tmp")
  func pages() throws {
    try ObjectServer.run(.gcs) { server in
      try make("pages", on: server)
      let store = store("pages", on: server, pageSize: 7)
      let names = (0..<30).map { ObjectName("many/\($0)")! }
      for name in names + [ObjectName("tmp/x")!] {
        try [UInt8(7)].withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      }
      #expect(try store.list(below: "many").objects.map(\.name) == names.sorted())
      #expect(try store.list(below: "").prefixes == ["many"])
      #expect(try #require(store.counters?.now.requests) >= 36)
    }
  }

  @Test("keeps packs and everything else in their storage classes")
  func classes() throws {
    try ObjectServer.run(.gcs) { server in
      try make("classes", on: server)
      let settings = GCSSettings(
        bucket: "classes", endpoint: server.endpoint, packClass: "ARCHIVE", otherClass: "NEARLINE")
      let store = GCSStore(settings, credentials: GCPCredentials(.anonymous, environment: [:]))
      for name in ["c/packs/p", "c/manifest"] {
        try [UInt8(7)].withUnsafeBytes { try store.put(ObjectName(name)!, $0, cancellation: Cancellation()) }
        let answer = try HTTPClient().send(HTTPRequest(.get, settings.objects(name)), Cancellation())
        let kind = name == "c/manifest" ? "NEARLINE" : "ARCHIVE"
        #expect(String(decoding: answer.body, as: UTF8.self).contains("\"storageClass\":\"\(kind)\""))
      }
    }
  }

  @Test("knows a put again whose answer was lost, and no other's object for its own")
  func lostAnswer() throws {
    try ObjectServer.run(.gcs) { server in
      try make("lost", on: server)
      // The first answer to a put is thrown away, after the server has stored the object.
      let script = """
        import http.server, sys, urllib.request
        lost = set()
        class Proxy(http.server.BaseHTTPRequestHandler):
          def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = urllib.request.Request(sys.argv[1] + self.path, body or None, method=self.command)
            for name in ["Content-Type", "Range"]:
              if self.headers.get(name): request.add_header(name, self.headers[name])
            try: answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error: answer = error
            content = answer.read()
            if self.command == "POST" and not lost:
              lost.add(1); self.close_connection = True; return
            self.send_response(answer.status); self.send_header("Content-Length", str(len(content)))
            self.end_headers(); self.wfile.write(content)
          do_GET = do_POST = handle_any
          def log_message(self, *words): pass
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Proxy).serve_forever()
        """
      let port = try FreePort.find()
      try Program.running("python3", ["-c", script, server.endpoint, "\(port)"]) { _ in
        let settings = GCSSettings(bucket: "lost", endpoint: "http://127.0.0.1:\(port)")
        let store = GCSStore(settings, credentials: GCPCredentials(.anonymous, environment: [:]))
        let name = ObjectName("a/object")!
        // The proxy's start is waited for by the retries, as that of any server.
        #expect(try store.size(of: name) == nil)
        let before = try #require(store.counters?.now.retries)
        try [UInt8]([1, 2, 3]).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
        #expect(try #require(store.counters?.now.retries) == before + 1)
        #expect {
          try [UInt8]([1, 2, 3]).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
        } throws: {
          if case StorageError.alreadyExists = $0 { true } else { false }
        }
      }
    }
  }

  @Test("says what refused it: a bucket that is not there, a server that does not answer, a key that is none")
  func refusals() throws {
    try ObjectServer.run(.gcs) { server in
      func report(_ store: GCSStore) -> String {
        do {
          _ = try store.list(below: "")
          return "no error"
        } catch {
          return ErrorReport(error).description
        }
      }
      #expect(report(store("nothing", on: server)).contains("Make bucket \"nothing\""))
      let away = GCSStore(
        GCSSettings(bucket: "b", endpoint: "http://127.0.0.1:1"),
        credentials: GCPCredentials(.anonymous, environment: [:]), retries: RetrySchedule(total: .seconds(1)))
      #expect(report(away).contains("127.0.0.1:1"))
      let retries = try #require(away.counters?.now.retries)
      #expect(retries > 0)
      let keyless = GCSStore(
        GCSSettings(bucket: "b", endpoint: server.endpoint),
        credentials: GCPCredentials(.serviceAccount { Array("{\"secret-marked\"".utf8) }, environment: [:]))
      #expect(report(keyless).contains("key file") && !report(keyless).contains("secret-marked"))
    }
  }

  @Test("takes no broken answer for an object or a list")
  func broken() {
    let object = #"{"name":"a","size":"12","timeCreated":"2026-01-02T03:04:05Z","metadata":{"sha256":"00"}}"#
    let list = #"{"kind":"storage#objects","items":[\#(object)],"prefixes":["b/"],"nextPageToken":"t"}"#
    #expect(GCSDocument.parse(GCSObject.self, Array(object.utf8))?.size == 12)
    #expect(GCSDocument.parse(GCSListing.self, Array(list.utf8))?.items?.count == 1)
    for text in ["", "{}", "[]", "null", "<html>", #"{"name":"a","size":"-1"}"#, #"{"name":"a","size":"x"}"#] {
      #expect(GCSDocument.parse(GCSObject.self, Array(text.utf8)) == nil, "\(text)")
    }
    for text in ["", "{}", #"{"kind":"storage#buckets"}"#, #"{"kind":"storage#objects","items":[{}]}"#] {
      #expect(GCSDocument.parse(GCSListing.self, Array(text.utf8)) == nil, "\(text)")
    }
    let rule = #"{"action":{"type":"Delete"},"condition":{"daysSinceNoncurrentTime":30}}"#
    let bucket = #"{"kind":"storage#bucket","versioning":{"enabled":true},"lifecycle":{"rule":[\#(rule)]}}"#
    let settings = GCSDocument.parse(GCSBucket.self, Array(bucket.utf8))
    #expect(settings?.isVersioned == true && settings?.isSwept == true)
    for text in ["", "{}", #"{"kind":"storage#objects"}"#] {
      #expect(GCSDocument.parse(GCSBucket.self, Array(text.utf8)) == nil, "\(text)")
    }
    for _ in 0..<5000 {
      _ = GCSDocument.parse(GCSBucket.self, Mutation.of(Array(bucket.utf8)))
      let bytes = Mutation.of(Array(list.utf8))
      // Any answer is right that is given: it must not crash or hang.
      _ = GCSDocument.parse(GCSListing.self, bytes)
      _ = GCSDocument.parse(GCSObject.self, bytes)
      _ = GCSDocument.parse(GCSRefusal.self, bytes)
    }
  }

  private func store(
    _ bucket: String, on server: ObjectServer, prefix: String = "", pageSize: Int? = nil
  ) -> GCSStore {
    var settings = GCSSettings(bucket: bucket, endpoint: server.endpoint, prefix: prefix)
    settings.pageSize = pageSize
    return GCSStore(
      settings, credentials: GCPCredentials(.anonymous, environment: [:]),
      retries: RetrySchedule(total: .seconds(10)))
  }

  private func make(_ bucket: String, on server: ObjectServer) throws {
    let request = HTTPRequest(
      .post, server.endpoint + "/storage/v1/b?project=p", headers: [("Content-Type", "application/json")])
    let response = try Array(#"{"name":"\#(bucket)"}"#.utf8).withUnsafeBytes {
      try HTTPClient().send(request, body: [$0], Cancellation())
    }
    #expect(response.isSuccess, "\(String(decoding: response.body, as: UTF8.self))")
  }
}
