import Storage
import TestSupport
import Testing
import Transfer

@Suite("Trying a bucket", .serialized) struct S3ProbeTests {
  @Test("finds out whether deleting only hides, and leaves nothing", arguments: [ObjectServer.Kind.ceph, .moto])
  func deletion(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      for bucket in [ObjectServer.BucketKind.plain, .versioned] {
        try server.makeBucket(bucket.rawValue, bucket)
        let store = TestBucket.store(bucket.rawValue, on: server)
        let probe = store.probe()
        #expect(probe.isUsable)
        let marker = probe.findings.first { $0.check == "deleteMarker" }
        let expected: StoreProbe.Verdict? = bucket == .versioned ? .yes : nil
        #expect(marker?.verdict == expected, "\(kind): \(String(describing: marker))")
        #expect(try store.list(below: "tmp").objects.isEmpty)
      }
    }
  }

  @Test("says of what could not be found out that it could not, and why")
  func unknown() throws {
    try ObjectServer.run(.moto) { server in
      try server.makeBucket("trouble", .versioned)
      try FaultProxy.run(server) { proxy in
        try proxy.begin(.init([.error500], rate: 1, match: "^PUT .*tmp/probe-(payload|marker)"))
        let store = TestBucket.store("trouble", on: proxy.server, retries: RetrySchedule(total: .milliseconds(300)))
        let findings = store.probe().findings
        for check in ["payloadHash", "deleteMarker"] {
          let finding = try #require(findings.first { $0.check == check })
          #expect(finding.verdict == .no, "\(check)")
          #expect(finding.detail.contains("could not be found out") && finding.detail.contains("500"), "\(finding)")
        }
      }
    }
  }
}
