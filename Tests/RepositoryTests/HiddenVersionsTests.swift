import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Repository

/// A store as a bucket with versions: what lies under its objects lies in other directories.
private final class VersionedStore: ForwardingStore {
  let base: any ObjectStore
  private let versions: [any ObjectStore]
  private let questions = Mutex(0)
  private let isSilent: Bool

  init(_ base: any ObjectStore, versions: [any ObjectStore], isSilent: Bool) {
    self.base = base
    self.versions = versions
    self.isSilent = isSilent
  }

  var asked: Int { questions.withLock { $0 } }

  func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore] {
    questions.withLock { $0 += 1 }
    if isSilent {
      throw StorageError.failed(
        "look for versions of", name, in: location, cause: ErrorReport(summary: "no right"), retry: .useless)
    }
    return versions
  }
}

@Suite("What lies under an object") struct HiddenVersionsTests {
  private struct Site {
    let fixture: RepositoryFixture
    let store: VersionedStore
    /// Two objects that junk lies over, over junk.
    let names: [ObjectName]
    /// As who does not seek.
    let repository: Repository

    func read(_ repository: Repository, _ number: Int = 0) throws -> [UInt8] {
      try repository.read(.metadata, names[number]) { try $0.readStream() }
    }
    func isDamaged(_ error: any Error) -> Bool { if case RepositoryError.damaged = error { true } else { false } }
  }

  private static func run(isSilent: Bool = false, _ body: (Site) throws -> Void) throws {
    try RepositoryFixture.run { fixture in
      let directories = ["junk", "first"].map { "\(fixture.directory)/\($0)" }
      let versions = directories.map { PosixStore(root: $0, makesRoot: true) }
      let names = (0..<2).map { _ in fixture.lineage.metadataPack(.random()) }
      for (number, name) in names.enumerated() {
        let good = try fixture.seal(.metadata, name, frames: [[UInt8(number)]])
        for (version, bytes) in zip(versions, [[7], good]) {
          try bytes.withUnsafeBytes { try version.put(name, $0, cancellation: Cancellation()) }
        }
        try fixture.replace(name, with: Array("pay".utf8))
      }
      let store = VersionedStore(fixture.stores[0], versions: versions, isSilent: isSilent)
      let repository = try Repository.open(stores: RepositoryFixture.named([store]), unlocking: .unwrapped)
      try body(Site(fixture: fixture, store: store, names: names, repository: repository))
    }
  }

  @Test("is read by who seeks it, is asked for once, and is told of") func read() throws {
    try Self.run { (site) throws in
      let log = ReadLog()
      let repository = site.repository.noting(in: log).seekingHidden()
      for _ in 0..<3 { #expect(try site.read(repository) == [0]) }
      #expect(site.store.asked == 1)
      #expect(log.warnings.count == 1 && log.warnings[0].contains(site.names[0].text), "\(log.warnings)")
      #expect(try site.read(repository, 1) == [1])
    }
  }

  @Test("is not asked for by who sees the store as it is, such as who makes a backup") func unsought() throws {
    try Self.run { site in
      for repository in [site.repository, site.repository.noting(in: ReadLog())] {
        #expect {
          try site.read(repository)
        } throws: {
          site.isDamaged($0)
        }
      }
      #expect(site.store.asked == 0)
    }
  }

  @Test("is sought for content that is gone, and not for manifests, WAL and documents that are") func gone() throws {
    try Self.run { site in
      let repository = site.repository.seekingHidden()
      try FileManager.default.removeItem(atPath: site.fixture.path(site.names[0]))
      #expect(try site.read(repository) == [0])
      let asked = site.store.asked
      let lineage = site.fixture.lineage
      for name in [
        lineage.manifest(site.fixture.header().id), lineage.history(TimelineID(2)),
        ObjectName(composed: "keys/k/x.json"),
      ] {
        #expect {
          try repository.read(.metadata, name) { try $0.readStream() }
        } throws: {
          ($0 as? StorageError)?.isMissing == true
        }
      }
      #expect(site.store.asked == asked)
    }
  }

  @Test("of a store that does not say is asked for once, and the object's own fault is told") func silent() throws {
    try Self.run(isSilent: true) { site in
      let repository = site.repository.seekingHidden()
      for number in [0, 1, 0] {
        #expect {
          try site.read(repository, number)
        } throws: {
          site.isDamaged($0)
        }
      }
      #expect(site.store.asked == 1)
    }
  }
}
