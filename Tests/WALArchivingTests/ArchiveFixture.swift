import BackupModel
import BlockingWork
import Foundation
import Glibc
import KeyManagement
import Repository
import Storage
import Synchronization
import TestSupport

@testable import WALArchiving

/// A repository in a directory, and archivers that write to it.
final class ArchiveFixture: Sendable {
  let directory: String
  let cluster = try! ClusterID("oauth")
  let repository: Repository
  let faults: FaultyStore

  init(_ directory: String) throws {
    self.directory = directory
    let posix = PosixStore(root: directory + "/store", makesRoot: true)
    faults = FaultyStore(posix)
    let stores = [RepositoryStore(id: try StoreID("local"), objects: faults)]
    repository =
      DurableFileProbe.exists(directory + "/store/repository.json")
      ? try Repository.open(stores: stores, unlocking: .unwrapped)
      : try Repository.create(in: stores, unlocking: .unwrapped, cancellation: Cancellation())
  }

  var landing: String { directory + "/wal/oauth" }

  func options(_ server: PostgresServer, lifetime: WALArchiver.SlotLifetime = .permanent) -> WALArchiver.Options {
    WALArchiver.Options(
      cluster: cluster, connection: server.connection, slotLifetime: lifetime, landingDirectory: landing,
      partialInterval: .milliseconds(200))
  }

  /// An archiver that runs for the length of the closure.
  /// - Returns: What the closure returns, and the error the archiver ended with, a cancellation excepted.
  @discardableResult
  func run<Result>(
    _ server: PostgresServer, lifetime: WALArchiver.SlotLifetime = .permanent,
    _ body: (WALArchiver, EventLog) throws -> Result
  ) throws -> (Result, (any Error)?) {
    let log = EventLog()
    let archiver = WALArchiver(
      options(server, lifetime: lifetime), repository: repository, observe: { log.add($0) })
    let cancellation = Cancellation()
    let ended = DispatchSemaphore(value: 0)
    let failure = Mutex<(any Error)?>(nil)
    DispatchQueue(label: "archiver").async {
      do { try archiver.run(cancellation) } catch is CancellationError {} catch {
        failure.withLock { $0 = error }
      }
      ended.signal()
    }
    let result = Swift.Result { try body(archiver, log) }
    cancellation.cancel()
    ended.wait()
    return (try result.get(), failure.withLock { $0 })
  }

  func lineage() throws -> Lineage { try repository.lineages(of: cluster)[0] }
  func catalog() throws -> WALCatalog { try WALCatalog(repository, lineage()) }
}

enum DurableFileProbe {
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

final class EventLog: Sendable {
  private let events = Mutex<[WALEvent]>([])
  func add(_ event: WALEvent) { events.withLock { $0.append(event) } }
  var all: [WALEvent] { events.withLock { $0 } }
  var gaps: [WALGap] { all.compactMap { if case .gap(let gap) = $0 { gap } else { nil } } }
  var storeFailures: Int { all.count { if case .storeFailed = $0 { true } else { false } } }
}

/// The real store behind a switch: while it is off, nothing can be written, as with a disk that is full or away.
final class FaultyStore: ForwardingStore {
  private let store: PosixStore
  var base: any ObjectStore { store }
  private let failing = Mutex(false)
  init(_ store: PosixStore) { self.store = store }

  var isFailing: Bool {
    get { failing.withLock { $0 } }
    set { failing.withLock { $0 = newValue } }
  }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    if isFailing {
      throw StorageError.failed(
        "write", name, in: location, cause: ErrorReport(summary: "no space left on device"), retry: .mayHelp)
    }
    try store.put(name, bytes, cancellation: cancellation)
  }
}

extension PostgresServer {
  /// Makes about this much WAL.
  func makeWAL(megabytes: Int) throws {
    try psql(
      """
      create table if not exists filler(v text);
      insert into filler select repeat('x', 1000) from generate_series(1, \(megabytes * 1000));
      """)
  }
  var flushLSN: LSN { get throws { try LSN(psql("select pg_current_wal_flush_lsn()")) } }
  var systemIdentifier: SystemIdentifier {
    get throws { try SystemIdentifier(psql("select system_identifier from pg_control_system()")) }
  }

  /// A segment as the server has it.
  func segment(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: dataDirectory + "/pg_wal/" + name)))
  }
}

/// The WAL in the stores from a position to another equals the server's files, byte for byte.
func firstDifference(_ catalog: WALCatalog, _ server: PostgresServer, from: LSN, to: LSN) throws -> LSN? {
  let size = catalog.segmentSize
  var segment = WALSegment(timeline: TimelineID(1), holding: from, size: size)
  while segment.start(size: size) < to {
    guard let held = try catalog.readSegment(segment) else { return segment.start(size: size) }
    let real = try server.segment(segment.name(size: size))
    let start = segment.start(size: size)
    let count = Int(min(size.bytes, to - start))
    if held[..<count] != real[..<count] {
      return start + UInt64(zip(held, real).prefix { $0 == $1 }.count)
    }
    segment = segment.next
  }
  return nil
}
