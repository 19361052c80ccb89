import BackupModel
import BlockingWork
import Cryptography
import Foundation
import KeyManagement
import Storage
import Synchronization
import TestSupport

@testable import BackupPipeline
@testable import Repository

/// Says that all WAL is held: what receives it is tested elsewhere.
final class AssumedWAL: WALProof {
  let began = Mutex(0)
  let ended = Mutex(0)
  /// Short of the stop position where set.
  let proven: LSN?
  init(proven: LSN? = nil) { self.proven = proven }

  func begin(_ facts: WALProofFacts, cancellation: Cancellation) throws -> WALPosition {
    began.withLock { $0 += 1 }
    return WALPosition(timeline: facts.timeline, lsn: LSN(0))
  }
  func waitUntilStored(from start: LSN, through stop: WALPosition, cancellation: Cancellation) throws -> ProvenWAL {
    ProvenWAL(end: proven ?? stop.lsn)
  }
  func end() { ended.withLock { $0 += 1 } }
}

/// A repository in a directory, and the pipeline that writes to it.
struct PipelineFixture {
  let repository: Repository
  let directory: String
  let cluster = ClusterID(unchecked: "oauth")

  static func run<Result>(_ body: (PipelineFixture) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { directory in
      let store = RepositoryStore(
        id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
      let repository = try Repository.create(in: [store], unlocking: .unwrapped, cancellation: Cancellation())
      return try body(PipelineFixture(repository: repository, directory: directory))
    }
  }

  func backUp(
    _ server: PostgresServer, wal: AssumedWAL = AssumedWAL(), cancellation: Cancellation = Cancellation(),
    maximumRate: ByteCount? = nil, source: BaseBackupPipeline.Source = .stream, incremental: Bool = false,
    isIdle: Bool = false, observe: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws -> BaseBackupPipeline.Result {
    let pipeline = BaseBackupPipeline(
      .init(
        cluster: cluster, connection: server.connection, job: JobID(unchecked: "nightly"), run: nil, workers: 2,
        maximumRate: maximumRate, fingerprintDirectory: incremental ? directory + "/fingerprints" : nil, source: source,
        dataDirectory: source == .stream ? nil : server.dataDirectory, isIdle: isIdle), repository: repository,
      wal: wal, observe: observe)
    defer { precondition(wal.began.withLock { $0 } <= wal.ended.withLock { $0 }, "the WAL proof was not ended") }
    return try pipeline.run(cancellation: cancellation)
  }

  /// Objects of clusters: everything a backup writes.
  var objects: [String] {
    let root = directory + "/store/clusters"
    let all = FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []
    return all.filter {
      var isDirectory: ObjCBool = false
      return FileManager.default.fileExists(atPath: root + "/" + $0, isDirectory: &isDirectory)
        && !isDirectory.boolValue
    }
  }

  /// Every entry of a backup by path; content is read back and must have its checksum.
  func entries(of backup: Backup) throws -> [String: (entry: ManifestFile, content: [UInt8])] {
    let reader = try BackupCatalog(repository).open(backup.id)
    let packs = try PackReader(PackHeaders(repository, reader.lineage))
    var result: [String: (entry: ManifestFile, content: [UInt8])] = [:]
    try reader.forEachFile { entry in
      let map = try reader.pageMap(of: entry)
      var content = [UInt8](repeating: 0, count: Int(entry.pages) * 8192)
      for (number, frame) in map.frames.enumerated() {
        try packs.read(map.packs[Int(frame.pack)], [frame.location]) { _, bytes in
          for run in map.runs where run.frame == UInt32(number) {
            let slots = bytes[(Int(run.slot) * 8192)..<(Int(run.slot + run.count) * 8192)]
            content.replaceSubrange((Int(run.firstPage) * 8192)..<(Int(run.firstPage + run.count) * 8192), with: slots)
          }
        }
      }
      content.removeLast(content.count - Int(entry.size))
      guard content.withUnsafeBytes({ CRC32C.checksum($0) }) == entry.checksum || entry.size == 0 else {
        throw RepositoryError.entryInvalid(entry.path)
      }
      result[entry.path] = (entry, content)
    }
    return result
  }
}
