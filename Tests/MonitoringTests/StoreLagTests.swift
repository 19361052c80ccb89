import BackupModel
import Testing

@testable import Monitoring

@Suite("A store that cannot be looked at") struct StoreLagTests {
  private static let now = Timestamp(seconds: 1_790_000_000)

  private func judge(_ seconds: Int, _ missing: ByteCount?) -> Judgement {
    var observations = Observations(now: Self.now)
    observations.settings.lagLimit = .seconds(900)
    return StoreRules.lag(
      StoreObservation(
        StoreID(unchecked: "cloud"), location: "x", behindSince: Self.now - .seconds(seconds), missingBytes: missing),
      observations)
  }

  @Test("lags, by nobody knows what") func unknown() throws {
    for (missing, text) in [(nil, "is not known"), (ByteCount(5), "It lacks")] as [(ByteCount?, String)] {
      guard case .wrong(.warning, let report) = judge(1000, missing).state else {
        Issue.record("it lags")
        continue
      }
      #expect(report.detail?.contains(text) == true, "\(report)")
    }
  }

  @Test("is told as critical in the end, though it is known that it cannot be filled") func explained() {
    let reason = ["store:cloud"]
    #expect(judge(1000, nil).isExplained(by: reason))
    #expect(!judge(4000, nil).isExplained(by: reason))
    #expect(judge(4000, nil).isExplained(by: ["store-unreachable:cloud"]))
  }
}
