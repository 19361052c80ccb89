import BackupModel
import BlockingWork
import Cryptography
import Foundation
import Recovery
import Repository
import Storage
import TestSupport

/// A repository whose backups and WAL are made up: no server is needed to test what happens before one starts.
struct FabricatedRepository {
  static let segment: UInt64 = 1 << 20
  let directory: String
  let repository: Repository
  let lineage: Lineage
  private let size = try! WALSegmentSize(bytes: FabricatedRepository.segment)

  init(_ directory: String) throws {
    self.directory = directory
    let stores = [
      RepositoryStore(id: try StoreID("local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
    ]
    repository = try Repository.create(in: stores, unlocking: .unwrapped, cancellation: Cancellation())
    lineage = Lineage(cluster: try ClusterID("oauth"), systemIdentifier: SystemIdentifier(7_000_000_000))
  }

  static let epoch = Timestamp(seconds: 1_800_000_000)
  static func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: epoch.seconds + seconds) }
  /// A position by segment number and offset within it.
  static func lsn(_ segment: UInt64, _ offset: UInt64 = 0) -> LSN { LSN(segment * self.segment + offset) }

  /// The files a data directory must have, and some more.
  static let files: [String: [UInt8]] = [
    "PG_VERSION": Array("15\n".utf8), "backup_label": Array("START WAL LOCATION: 0/0\n".utf8),
    "backup_manifest": Array("{}".utf8), "global/pg_control": [UInt8](repeating: 7, count: 8192),
    "base/1/100": (0..<700_001).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }, "base/1/101": [],
    "base/1/102": [UInt8](repeating: 3, count: 8192 * 3), "postgresql.auto.conf": Array("work_mem = '5MB'\n".utf8),
    "postgresql.conf": Array("port = 1\n".utf8),
  ]

  /// Stores a backup that needs WAL from `start` to `stop`.
  @discardableResult
  func backUp(
    files: [String: [UInt8]] = Self.files, configuration: [String: [UInt8]] = [:], start: LSN, stop: LSN,
    at seconds: Int64 = 0, timeline: UInt32 = 1, tablespaces: [UInt32: String] = [:]
  ) throws -> BackupID {
    let newest = try BackupCatalog(repository).newest(lineage)
    let cancellation = Cancellation()
    let writer = try BackupWriter(repository: repository, lineage: lineage, cancellation: cancellation)
    let all = files.merging(tablespaces.map { ("pg_tblspc/\($0.key)/PG_15/1", Array("rows".utf8)) }) { $1 }
    func writeFiles() throws {
      let worker = try BackupWriter.Worker(writer)
      for directory in ["base", "base/1", "global", "pg_wal", "pg_wal/archive_status", "pg_tblspc"]
        + tablespaces.keys.map({ "pg_tblspc/\($0)/PG_15" })
      {
        writer.add(ManifestFile(path: directory, kind: .directory, mode: 0o700, modified: 0))
      }
      for (oid, location) in tablespaces {
        writer.add(
          ManifestFile(path: "pg_tblspc/\(oid)", kind: .symlink, mode: 0o777, modified: 0, linkTarget: location))
      }
      for (path, bytes) in all { try store(path, .file, bytes, writer, worker) }
      for (path, bytes) in configuration { try store(path, .configuration, bytes, writer, worker) }
      try worker.finish()
      try writer.finishPages()
    }
    try runAside(writer.senders[0], writeFiles)
    precondition(writer.sortFiles() == nil, "a path twice")
    var header = ManifestHeader(
      id: BackupID(started: Self.time(seconds)), cluster: lineage.cluster, systemIdentifier: lineage.systemIdentifier,
      kind: .physical, job: nil, run: nil, sequence: (newest?.sequence ?? 0) + 1, started: Self.time(seconds))
    header.finished = Self.time(seconds + 1)
    header.timeline = TimelineID(timeline)
    header.startLSN = start
    header.stopLSN = stop
    header.serverVersion = 150_000
    header.walSegmentBytes = Self.segment
    header.tablespaces = tablespaces.map { .init(oid: $0.key, location: $0.value) }
    return try writer.commit(header, cancellation: cancellation).backup.id
  }

  private func runAside(_ aside: @escaping @Sendable () throws -> Void, _ body: () throws -> Void) throws {
    let group = DispatchGroup()
    let failure = FirstFailure()
    DispatchQueue(label: "aside").async(group: group) {
      do { try aside() } catch { failure.record(error) }
    }
    try body()
    group.wait()
    if let error = failure.error { throw error }
  }

  private func store(
    _ path: String, _ kind: ManifestFile.Kind, _ bytes: [UInt8], _ writer: BackupWriter, _ worker: BackupWriter.Worker
  ) throws {
    let entry = ManifestFile(
      path: path, kind: kind, mode: 0o600, modified: 0, size: UInt64(bytes.count),
      checksum: bytes.withUnsafeBytes { CRC32C.checksum($0) })
    guard !bytes.isEmpty else { return writer.add(entry) }
    let number = writer.beginFile(path)
    let page = SealedFormat.slotSize
    let pages = (bytes.count + page - 1) / page
    var first = 0
    while first < pages {
      let frame = PageFrame()
      frame.slots = min(SealedFormat.slotsPerFrame, pages - first)
      let target = UnsafeMutableRawBufferPointer(start: frame.base, count: frame.slots * page)
      target.initializeMemory(as: UInt8.self, repeating: 0)
      bytes.withUnsafeBytes { source in
        let end = min(source.count, (first + frame.slots) * page)
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[(first * page)..<end]))
      }
      frame.pieces = [
        .init(
          file: number, path: path, firstPage: UInt32(first), slot: 0, count: frame.slots,
          byteCount: min(frame.slots * page, bytes.count - first * page), firstBlock: nil)
      ]
      writer.announcePiece(of: number)
      try worker.process(frame)
      first += frame.slots
    }
    try writer.endFile(number, entry)
  }

  // MARK: WAL

  /// What ended or was named in a segment: offset of its record, each record 100 bytes long.
  enum Event {
    case commit(offset: UInt64, xid: UInt32, at: Int64)
    case restorePoint(offset: UInt64, String, at: Int64)
  }

  /// Stores one segment, or its beginning as a slice.
  func storeWAL(
    _ number: UInt64, timeline: UInt32 = 1, upTo length: UInt64 = FabricatedRepository.segment,
    clock: Int64? = nil, _ events: [Event] = []
  ) throws {
    let segment = WALSegment(timeline: TimelineID(timeline), number: number)
    let start = segment.start(size: size)
    var index = WALIndex(timeline: segment.timeline, first: start, end: start + length)
    index.completeEnd = index.end
    index.serverClock = clock.map(Self.time)
    for event in events {
      switch event {
      case .commit(let offset, let xid, let time):
        index.entries.append(
          .init(
            outcome: .commit, xid: xid, time: Self.time(time), start: start + offset, end: start + (offset + 100)))
      case .restorePoint(let offset, let name, let time):
        index.restorePoints.append(
          .init(name: name, time: Self.time(time), start: start + offset, end: start + (offset + 100)))
      }
    }
    let isWhole = length == Self.segment
    let name =
      isWhole
      ? lineage.walSegment(segment, size: size)
      : lineage.walSlice(segment, from: start, to: start + length, size: size)
    try put(isWhole ? .walSegment : .walSlice, name, [UInt8](repeating: 0xAB, count: Int(length)), index)
  }

  func storeHistory(_ timeline: UInt32, _ text: String) throws {
    try put(.timelineHistory, lineage.history(TimelineID(timeline)), Array(text.utf8), nil)
  }

  private func put(_ kind: ObjectKind, _ name: ObjectName, _ bytes: [UInt8], _ index: WALIndex?) throws {
    let buffer = SealedBuffer(capacity: 1 << 20)
    try repository.sealWAL(kind, name, index: index, into: buffer) { take in try bytes.withUnsafeBytes(take) }
    try repository.putSealed(name, buffer, in: repository.stores[0], cancellation: Cancellation())
  }

  // MARK: Restoring

  func options(_ target: RecoveryTarget = .endOfWAL, into name: String = "restored") throws -> RestoreOptions {
    let home = directory + "/home"
    if !FileManager.default.fileExists(atPath: home) {
      try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
      try ProgramUser.postgres.own(home)
    }
    var options = RestoreOptions(
      cluster: lineage.cluster, directory: "\(home)/\(name)",
      fetch: FetchCommand(executable: "/usr/bin/backupd-wal", configuration: "/etc/backupd/backupd.yaml"))
    options.target = target
    return options
  }

  func plan(_ options: RestoreOptions) throws -> RestorePlan {
    try RestorePlanner(repository: repository).plan(options)
  }

  func restorer(_ options: RestoreOptions) throws -> Restorer {
    Restorer(repository: repository, options: options, plan: try plan(options))
  }

  @discardableResult
  func restore(_ options: RestoreOptions) throws -> RestoreReport {
    try restorer(options).run(cancellation: Cancellation())
  }
}
