import BackupModel
import BlockingWork
import JobState
import Logging
import Repository
import Storage
import TestSupport
import Testing
import Transfer

@testable import Jobs

@Suite("Requests of a run") struct RequestCountsTests {
  @Test("count those to stores that hold copies alone") func archives() async throws {
    try await TemporaryDirectory.run { directory in
      let local = RepositoryStore(
        id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
      let archive = RepositoryStore(
        id: StoreID(unchecked: "archive"),
        objects: CountedStore(store: PosixStore(root: directory + "/archive", makesRoot: true)), durability: .onCopy)
      let repository = try Repository.create(
        in: [local, archive], unlocking: .unwrapped, cancellation: Cancellation())
      let difference = try #require(RequestCounts(repository).difference(to: repository))
      #expect(difference.map(\.store) == [archive.id])
      let runner = JobRunner(
        .init(stateDirectory: directory + "/state"), repository: repository,
        state: try JobStateStore(directory: directory + "/state", now: .now()),
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      let counts = await runner.requestCounts()
      #expect(counts.map(\.store) == [archive.id])
    }
  }
}

/// A directory that is asked as if it were across a network.
private struct CountedStore: ForwardingStore {
  let store: PosixStore
  var base: any ObjectStore { store }
  let counters: TransferCounters? = TransferCounters()

}
