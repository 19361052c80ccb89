import BackupModel
import Foundation
import Storage
import Testing

@testable import Repository

@Suite("Reading what is listed") struct RelistingTests {
  @Test("begins anew where an object has gone meanwhile, and ends where it stays away, or at another error")
  func gone() throws {
    try RepositoryFixture.run { fixture in
      let lineage = Lineage(cluster: ClusterID(unchecked: "oauth"), systemIdentifier: SystemIdentifier(7))
      let store = fixture.repository.stores[0]
      let names = (0..<6).map { _ in lineage.pack(.random()) }
      for name in names { try fixture.replace(name, with: [1]) }
      // A prune that deletes between the listing and the reading, three times.
      var times = 0
      let read = try fixture.repository.readingWhatIsListed {
        let listed = try store.objects.list(below: lineage.packsPrefix).objects.map(\.name).sorted()
        if times < 3 { try store.objects.delete(listed[0]) }
        times += 1
        return try listed.map { try store.objects.readAll($0) }.count
      }
      #expect(times == 4 && read == 3)
      var asked = 0
      #expect(throws: StorageError.self) {
        try fixture.repository.readingWhatIsListed {
          asked += 1
          throw StorageError.missing(names[0], in: store.objects.location)
        }
      }
      #expect(asked == 4)
      #expect(throws: CancellationError.self) {
        try fixture.repository.readingWhatIsListed {
          asked += 1
          throw CancellationError()
        }
      }
      #expect(asked == 5)
    }
  }
}
