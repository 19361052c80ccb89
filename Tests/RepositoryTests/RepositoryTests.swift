import BackupModel
import BlockingWork
import Foundation
import Glibc
import Storage
import TestSupport
import Testing

@testable import KeyManagement
@testable import Repository

@Suite("A repository") struct RepositoryTests {
  private func create(_ stores: [any ObjectStore], _ unlocking: Unlocking = .unwrapped) throws -> Repository {
    try Repository.create(
      in: RepositoryFixture.named(stores), unlocking: unlocking, cancellation: Cancellation())
  }

  @Test("is made in empty stores only, and touches none that holds anything")
  func createsInEmptyOnly() throws {
    try TemporaryDirectory.run { directory in
      let (empty, used) = (
        PosixStore(root: directory + "/empty", makesRoot: true), PosixStore(root: directory + "/used", makesRoot: true)
      )
      try FileManager.default.createDirectory(atPath: directory + "/used/photos", withIntermediateDirectories: true)
      #expect {
        try create([empty, used])
      } throws: {
        if case RepositoryError.alreadyExists(let store, _) = $0 { store.rawValue == "store1" } else { false }
      }
      #expect(FileManager.default.fileExists(atPath: directory + "/empty") == false)
      _ = try create([empty])
      let before = try Data(contentsOf: URL(fileURLWithPath: directory + "/empty/repository.json"))
      #expect(throws: RepositoryError.self) { try create([empty]) }
      #expect(try Data(contentsOf: URL(fileURLWithPath: directory + "/empty/repository.json")) == before)
      #expect(FileManager.default.createFile(atPath: directory + "/file", contents: nil))
      #expect(throws: StorageError.self) { try create([PosixStore(root: directory + "/file", makesRoot: true)]) }
    }
  }

  @Test("is made where an earlier creation was killed, and opens with the newer key")
  func killedCreation() throws {
    try TemporaryDirectory.run { directory in
      let store = PosixStore(root: directory + "/store", makesRoot: true)
      _ = try create([store])
      #expect(unlink(directory + "/store/repository.json") == 0)
      let made = try create([store])
      let opened = try Repository.open(stores: RepositoryFixture.named([store]), unlocking: .unwrapped)
      #expect(opened.id == made.id && opened.keys.current.id == made.keys.current.id)
    }
  }

  @Test("opens with its own key file, and says what is wrong with any other")
  func keyFiles() throws {
    try TemporaryDirectory.run { directory in
      let (key, other) = (try KeyFile.create(directory + "/key"), try KeyFile.create(directory + "/other"))
      let store = PosixStore(root: directory + "/store", makesRoot: true)
      let made = try create([store], .keyFile(key))
      let stores = RepositoryFixture.named([store])
      let opened = try Repository.open(stores: stores, unlocking: .keyFile(KeyFile.read(directory + "/key")))
      #expect(opened.id == made.id && opened.keys.current.key.reveal() == made.keys.current.key.reveal())
      #expect {
        try Repository.open(stores: stores, unlocking: .keyFile(other))
      } throws: {
        if case KeyError.wrongKeyFile = $0 { true } else { false }
      }
      #expect {
        try Repository.open(stores: stores, unlocking: .unwrapped)
      } throws: {
        if case KeyError.recipientMissing(_, let present) = $0 { present == ["key-file-\(key.id)"] } else { false }
      }
    }
  }

  @Test("is not opened from stores that hold different ones, or none")
  func differentStores() throws {
    try TemporaryDirectory.run { directory in
      let (a, b) = (
        PosixStore(root: directory + "/a", makesRoot: true), PosixStore(root: directory + "/b", makesRoot: true)
      )
      _ = try create([a])
      _ = try create([b])
      #expect {
        try Repository.open(stores: RepositoryFixture.named([a, b]), unlocking: .unwrapped)
      } throws: {
        if case RepositoryError.differentRepositories = $0 { true } else { false }
      }
      #expect(mkdir(directory + "/c", 0o755) == 0)
      let (empty, away) = (
        PosixStore(root: directory + "/c", makesRoot: true), PosixStore(root: directory + "/d", makesRoot: true)
      )
      #expect {
        try Repository.open(stores: RepositoryFixture.named([empty]), unlocking: .unwrapped)
      } throws: {
        if case RepositoryError.missingRepository = $0 { true } else { false }
      }
      // "There is none" may be said only where every store said so.
      #expect {
        try Repository.open(stores: RepositoryFixture.named([empty, away]), unlocking: .unwrapped)
      } throws: {
        if case RepositoryError.unavailable = $0 { true } else { false }
      }
      _ = try Repository.open(stores: RepositoryFixture.named([away, a]), unlocking: .unwrapped)
      // An empty directory beside a repository is a disk that is not mounted: it does not answer.
      let opened = try Repository.open(stores: RepositoryFixture.named([empty, a]), unlocking: .unwrapped)
      #expect(throws: StorageError.self) { try opened.stores[0].objects.list(below: "keys") }
      #expect(try opened.stores[1].objects.list(below: "keys").prefixes.count == 1)
    }
  }

  @Test("opens from its second store where the first is damaged")
  func damagedFirstStore() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      let documents = try fixture.files().map { try #require(ObjectName($0)) }
      #expect(documents.count == 2)
      for name in documents {
        let good = try fixture.bytes(name)
        for index in good.indices {
          var changed = good
          changed[index] ^= 1
          try fixture.replace(name, with: changed)
          #expect(try fixture.reopened().id == fixture.repository.id, "\(name) byte \(index)")
          let alone = RepositoryFixture.named([fixture.stores[0]])
          #expect("\(name) byte \(index)") {
            try Repository.open(stores: alone, unlocking: .unwrapped)
          } throws: {
            ($0 as? RepositoryError)?.summary.contains(name.text) == true
          }
        }
        try fixture.replace(name, with: good)
      }
    }
  }

  private struct Future: Codable { var format: Int, surprise: [Int] }

  @Test("of a format from the future is refused as such, whatever else it holds")
  func futureFormat() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      let bytes = try CheckedDocument.encodePlain(Future(format: 2, surprise: [1]))
      let envelope = Repository.envelopeName(fixture.repository.keys.current.id, "none")
      let good = try fixture.bytes(envelope)
      try fixture.replace(envelope, with: bytes)
      #expect { try fixture.reopened() } throws: { if case KeyError.formatUnknown = $0 { true } else { false } }
      try fixture.replace(envelope, with: good)
      try fixture.replace(Repository.rootName, with: bytes)
      #expect {
        try fixture.reopened()
      } throws: {
        if case RepositoryError.formatUnknown("repository.json", _, 2, 1) = $0 { true } else { false }
      }
    }
  }

  @Test("finds clusters and lineages, and does not take other directories for them")
  func lineages() throws {
    try RepositoryFixture.run { fixture in
      for path in ["oauth/7/backups/x", "oauth/not-a-number/x", "Bad Name/1/x", "shop/9/x"] {
        let file = "\(fixture.directory)/store0/clusters/\(path)"
        try FileManager.default.createDirectory(
          atPath: String(file[..<file.lastIndex(of: "/")!]), withIntermediateDirectories: true)
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
      }
      #expect(try fixture.repository.clusters().map(\.rawValue) == ["oauth", "shop"])
      #expect(
        try fixture.repository.lineages(of: ClusterID("oauth")).map(\.systemIdentifier) == [SystemIdentifier(7)])
      let listed = try BackupCatalog(fixture.repository).list()
      #expect(listed.backups.isEmpty && listed.damaged.isEmpty)
    }
  }

  @Test("keeps small documents bound to their names")
  func documents() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      let (name, other) = (fixture.lineage.gap(.random()), fixture.lineage.gap(.random()))
      for store in fixture.repository.stores {
        try fixture.repository.putDocument(["a": 1, "format": 1], name, in: store, cancellation: Cancellation())
      }
      #expect(try fixture.repository.readDocument([String: Int].self, name) == ["a": 1, "format": 1])
      let bytes = try fixture.bytes(name)
      for store in 0...1 { try fixture.replace(other, store: store, with: bytes) }
      #expect(throws: RepositoryError.self) { try fixture.repository.readDocument([String: Int].self, other) }
      try fixture.replace(name, with: Array(bytes.dropLast()))
      #expect(try fixture.repository.readDocument([String: Int].self, name) == ["a": 1, "format": 1])
      let newer = fixture.lineage.gap(.random())
      try fixture.repository.putDocument(
        ["a": 1, "format": 2], newer, in: fixture.repository.stores[0], cancellation: Cancellation())
      #expect(throws: RepositoryError.self) {
        try fixture.repository.readDocument([String: Int].self, newer)
      }
    }
  }
}
