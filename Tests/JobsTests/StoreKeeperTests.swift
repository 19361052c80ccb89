import BackupModel
import BlockingWork
import Foundation
import JobState
import KeyManagement
import Logging
import Repository
import Storage
import TestSupport
import Testing

@testable import Jobs

@Suite("Whoever fills a store") struct StoreKeeperTests {
  @Test("says that a store lacks nobody knows what, for longer and longer, while it cannot be looked at")
  func away() async throws {
    try await TemporaryDirectory.run { directory in
      let stores = [("first", Durability.required), ("second", .eventual)].map { name, durability in
        RepositoryStore(
          id: StoreID(unchecked: name), objects: PosixStore(root: "\(directory)/\(name)", makesRoot: true),
          durability: durability)
      }
      let repository = try Repository.create(in: stores, unlocking: .unwrapped, cancellation: Cancellation())
      let state = try JobStateStore(directory: directory + "/state", now: .now())
      let keeper = try #require(
        StoreKeeper(
          repository.stores[1], of: repository, rules: [:], memory: FillMemory(), news: StoreNews(), state: state,
          logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })))
      #expect(keeper.now.missingObjects == nil, "nobody has looked yet")
      try FileManager.default.moveItem(atPath: directory + "/second", toPath: directory + "/away")
      let began = Timestamp.now()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await keeper.run() }
        defer { group.cancelAll() }
        try await Poll.until(.seconds(30), "a failure") { () async in keeper.now.error != nil }
        let first = try #require(keeper.now.behindSince)
        #expect(first >= began && keeper.now.missingObjects == nil && keeper.now.missingBytes == nil)
        try FileManager.default.moveItem(atPath: directory + "/away", toPath: directory + "/second")
        try await Poll.until(.seconds(30), "a look") { () async in keeper.now.error == nil }
        #expect(keeper.now.missingObjects == 0 && keeper.now.behindSince == nil)
      }
    }
  }

  @Test("looks again for what a store cannot have got from those who made it") func pauses() {
    let news = StoreNews()
    let before = news.now
    func pauses() -> [Duration?] {
      [Durability.required, .eventual].map { news.pause(for: $0, since: before) }
    }
    #expect(pauses() == [nil, nil])
    news.tell(.slice)
    #expect(pauses() == [nil, StoreNews.slicePause])
    news.tell(.segment)
    #expect(pauses() == [nil, StoreNews.segmentPause])
    news.tell(.backup)
    #expect(pauses() == [nil, .zero])
    news.tell(.incompleteBackup)
    #expect(pauses() == [.zero, .zero])
    #expect(news.pause(for: .eventual, since: news.now) == nil)
  }
}
