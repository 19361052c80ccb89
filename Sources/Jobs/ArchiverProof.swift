internal import BackupModel
internal import BackupPipeline
internal import BlockingWork
import Dispatch
internal import Repository
import Synchronization
internal import WALArchiving

/// A physical run's WAL, received by the cluster's wal job.
struct ArchiverProof: WALProof {
  /// Streaming is expected at once; a server that was just restarted takes a little.
  static let streamingTimeout: Duration = .seconds(60)
  /// A store that hangs must fail the run some time; its own retries are far shorter.
  static let storedTimeout: Duration = .seconds(900)

  let archiver: WALArchiver
  let cluster: ClusterID
  private let lineage = Shared<Lineage>()

  init(_ archiver: WALArchiver, cluster: ClusterID) {
    self.archiver = archiver
    self.cluster = cluster
  }

  func begin(_ facts: WALProofFacts, cancellation: Cancellation) throws -> WALPosition {
    lineage.set(Lineage(cluster: cluster, systemIdentifier: facts.systemIdentifier))
    return try archiver.waitUntilStreaming(cancellation: cancellation, timeout: Self.streamingTimeout)
  }

  func waitUntilStored(from start: LSN, through stop: WALPosition, cancellation: Cancellation) throws -> ProvenWAL {
    let failures = try archiver.waitUntilStored(
      through: stop, cancellation: cancellation, timeout: Self.storedTimeout)
    guard let lineage = lineage.get() else { preconditionFailure("begin was not called") }
    // Not what the archiver remembers: what the stores list.
    try archiver.proveStored(
      from: WALPosition(timeline: stop.timeline, lsn: start), through: stop.lsn, of: lineage, without: failures)
    return ProvenWAL(end: stop.lsn, failures: failures)
  }

  func end() {}
}

/// A physical run's WAL where the cluster has no wal job: received over a temporary slot for as long as the run takes.
final class TemporaryArchiverProof: WALProof {
  private let archiver: WALArchiver
  private let proof: ArchiverProof
  private let stop = Cancellation()
  private let ended = DispatchGroup()

  init(_ archiver: WALArchiver, cluster: ClusterID) {
    self.archiver = archiver
    proof = ArchiverProof(archiver, cluster: cluster)
  }

  func begin(_ facts: WALProofFacts, cancellation: Cancellation) throws -> WALPosition {
    let (archiver, stop) = (self.archiver, self.stop)
    DispatchQueue(label: "io.backupd.wal.temporary").async(group: ended) {
      // Its error is in its status, which is the cause that waiting for it reports.
      do { try archiver.run(stop) } catch { return }
    }
    return try proof.begin(facts, cancellation: cancellation)
  }

  func waitUntilStored(from start: LSN, through stop: WALPosition, cancellation: Cancellation) throws -> ProvenWAL {
    try proof.waitUntilStored(from: start, through: stop, cancellation: cancellation)
  }

  func end() {
    stop.cancel()
    ended.wait()
  }
}

/// One value, set once and read from other threads.
final class Shared<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  func set(_ new: Value) { value.withLock { $0 = new } }
  func get() -> Value? { value.withLock { $0 } }
}
