import BackupModel
import BlockingWork
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Storage
@testable import Transfer

/// What real servers say too seldom, or only Amazon's.
@Suite("A server of S3's protocol") struct S3AnswerTests {
  @Test(
    "that refuses the keys is asked once more, with keys that are read anew",
    arguments: ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"])
  func refusedKeys(code: String) throws {
    let refusal = ScriptedServer.Answer.error(403, code)
    let cases: [(answers: [ScriptedServer.Answer], isLet: Bool)] = [([refusal, .emptyList], true), ([refusal], false)]
    for (answers, isLet) in cases {
      try ScriptedServer.run(answers) { (server) throws in
        let reads = Mutex(0)
        let store = server.store {
          reads.withLock { $0 += 1 }
          return AWSKeys(accessKey: "a", secretKey: "b")
        }
        if isLet {
          #expect(try store.list(below: "").objects.isEmpty)
        } else {
          #expect(throws: StorageError.self) { try store.list(below: "") }
        }
        #expect(reads.withLock { $0 } == 2)
        #expect(server.requests.count == 2)
      }
    }
  }

  @Test("that has no time or another clock is asked again, and one that refuses is not")
  func repeats() throws {
    let answers: [ScriptedServer.Answer] = [
      .error(408, "RequestTimeout"), .error(429, "TooManyRequests", headers: ["Retry-After": "0"]),
      .error(403, "RequestTimeTooSkewed"), .emptyList,
    ]
    try ScriptedServer.run(answers) { (server) throws in
      let store = server.store()
      #expect(try store.list(below: "").objects.isEmpty)
      #expect(server.requests.count == 4)
      #expect(store.counters?.now.retries == 3)
    }
    for answer in [ScriptedServer.Answer.error(403, "AccessDenied"), .error(400, "InvalidArgument")] {
      try ScriptedServer.run([answer]) { (server) throws in
        #expect(throws: StorageError.self) { try server.store().list(below: "") }
        #expect(server.requests.count == 1)
      }
    }
  }

  @Test("has the address that its region, its endpoint and its style make")
  func addresses() {
    func settings(_ region: String, _ endpoint: String? = nil, isPathStyle: Bool? = nil) -> S3Settings {
      S3Settings(bucket: "backups", region: region, endpoint: endpoint, isPathStyle: isPathStyle)
    }
    func address(_ settings: S3Settings, _ key: String = "") -> String {
      settings.origin.scheme + "://" + settings.origin.host + settings.path(key)
    }
    let own = settings("eu-west-1")
    #expect(address(own) == "https://backups.s3.eu-west-1.amazonaws.com/")
    #expect(address(own, "a/b c") == "https://backups.s3.eu-west-1.amazonaws.com/a/b%20c")
    #expect(address(settings("cn-north-1"), "a") == "https://backups.s3.cn-north-1.amazonaws.com.cn/a")
    let path = settings("eu-west-1", isPathStyle: true)
    #expect(address(path) == "https://s3.eu-west-1.amazonaws.com/backups")
    #expect(address(path, "a/b c") == "https://s3.eu-west-1.amazonaws.com/backups/a/b%20c")
    #expect(address(settings("r", "http://127.0.0.1:9000/"), "a") == "http://127.0.0.1:9000/backups/a")
    let hosted = settings("r", "objects.example.com", isPathStyle: false)
    #expect(address(hosted, "a") == "https://backups.objects.example.com/a")
  }

  @Test("says of an object what has to be thawed")
  func thawStates() {
    func state(_ headers: [String: String]) -> ThawState {
      S3Store.thawState(HTTPResponse(status: 200, headers: headers, body: [], received: 0))
    }
    #expect(state([:]) == .warm && state(["x-amz-storage-class": "INTELLIGENT_TIERING"]) == .warm)
    #expect(state(["x-amz-storage-class": "GLACIER_IR"]) == .warm)
    #expect(state(["x-amz-storage-class": "DEEP_ARCHIVE"]) == .frozen)
    for status in ["ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"] {
      var headers = ["x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": status]
      #expect(state(headers) == .frozen)
      headers["x-amz-restore"] = "ongoing-request=\"true\""
      #expect(state(headers) == .thawing)
    }
  }
}

@Suite("A bucket's past") struct PastAnswerTests {
  private typealias Answer = ScriptedServer.Answer

  private static let object = """
    <Version><Key>a</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>9</Size>\
    <LastModified>2020-11-01T00:00:00.000Z</LastModified><StorageClass>GLACIER</StorageClass></Version>
    """

  /// - Parameter next: Where the next page is said to begin: a key, and a version of it.
  private static func page(_ content: String = "", next: (String, String)? = nil) -> Answer {
    let marker = next.map {
      "<NextKeyMarker>\($0.0)</NextKeyMarker><NextVersionIdMarker>\($0.1)</NextVersionIdMarker>"
    }
    return Answer(
      body: """
        <ListVersionsResult><IsTruncated>\(next != nil)</IsTruncated>\(marker ?? "")\(content)</ListVersionsResult>
        """)
  }

  @Test("does not go in circles")
  func circles() throws {
    let (a, b) = (Self.page(next: ("a", "1")), Self.page(next: ("b", "2")))
    for pages in [[a], [a, b, a], [a, Self.page(next: ("a", "2")), b, Self.page(next: ("a", "2"))]] {
      try ScriptedServer.run([.versioned] + pages) { (server) throws in
        let past = try server.store().asOf(.now())
        #expect(throws: StorageError.self) { try past.list(below: "") }
        // The last one was asked for again, and did not get better.
        #expect(server.requests.count > pages.count + 2)
      }
    }
  }

  @Test("is asked for again where a page is broken, and never takes a part for the whole")
  func broken() throws {
    let pages = [
      Answer(body: "<ListVersionsResult><IsTrunc"), Answer(body: "<html></html>"),
      Answer(body: "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>"),
      Self.page("<Version><Key>a</Key><VersionId>v1</VersionId></Version>"),
    ]
    try ScriptedServer.run([.versioned] + pages + [Self.page(Self.object)]) { (server) throws in
      let past = try server.store().asOf(.now())
      #expect(try past.list(below: "").objects.map(\.name.text) == ["a"])
      #expect(server.requests.count == 6)
    }
  }

  @Test("is thawed by its own version, whatever lies there now")
  func thaw() throws {
    let cold = ["x-amz-storage-class": "GLACIER"]
    let answers: [Answer] = [
      .versioned, Self.page(Self.object), Answer(headers: cold), Answer(status: 202),
      Answer(headers: cold.merging(["x-amz-restore": "ongoing-request=\"true\""]) { $1 }),
      .error(403, "InvalidObjectState"),
    ]
    try ScriptedServer.run(answers) { (server) throws in
      let past = try #require(try server.store().asOf(.now()) as? any ThawingStore)
      let name = try #require(ObjectName("a"))
      #expect(try past.list(below: "").objects.first?.storageClass == StorageClass("GLACIER"))
      #expect(try past.thawState(of: name) == .frozen)
      try past.thaw(name, days: 3, tier: .bulk)
      #expect(try past.thawState(of: name) == .thawing)
      #expect { try past.readAll(name) } throws: { ($0 as? StorageError)?.isFrozen == true }
      #expect(
        server.requests.suffix(4) == [
          "HEAD /b/a?versionId=v1", "POST /b/a?restore=&versionId=v1", "HEAD /b/a?versionId=v1",
          "GET /b/a?versionId=v1",
        ])
    }
  }
}
