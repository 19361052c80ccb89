import BackupModel
import BlockingWork
import Foundation
import Storage

@testable import Repository

extension RepositoryFixture {
  private var cacheDirectory: String { directory + "/pieces" }

  func caches() throws -> PieceCaches {
    try PieceCaches(repository, lineage, job: JobID(unchecked: "critical"), directory: cacheDirectory)
  }

  func cacheBytes() throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: cacheDirectory + "/pieces"))) }

  func writeCache(_ bytes: [UInt8]?) throws {
    let path = cacheDirectory + "/pieces"
    if let bytes {
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    } else {
      try FileManager.default.removeItem(atPath: path)
    }
  }

  func dumpHeader() throws -> ManifestHeader {
    let newest = try BackupCatalog(repository).newest(lineage)
    var header = header((newest?.sequence ?? 0) + 1)
    header.kind = .logical
    header.job = JobID(unchecked: "critical")
    header.startLSN = LSN(0x1600_0000)
    header.stopLSN = header.startLSN
    header.dump = .init(
      database: "oauth", program: "pg_dump (PostgreSQL) 15.20", selection: [], snapshot: header.started, globals: false)
    return header
  }

  enum Order { case oneAfterAnother, sideBySide }

  /// Takes a logical backup of streams, read in pieces of odd lengths.
  @discardableResult
  func dump(_ streams: [String: [UInt8]], _ order: Order = .oneAfterAnother) throws -> BackupWriter.Committed {
    let caches = try caches()
    let (parent, notes) = try caches.parent()
    let cancellation = Cancellation()
    let writer = try DumpWriter(
      repository: repository, lineage: lineage,
      options: .init(workers: 2, cutters: order == .sideBySide ? streams.count : 1), parent: parent, caches: caches,
      cancellation: cancellation)
    @Sendable func cut(_ streams: [(key: String, value: [UInt8])]) throws {
      let cutter = try DumpWriter.Cutter(writer)
      for (name, bytes) in streams {
        var position = 0
        try cutter.store(name) { buffer in
          let count = min(buffer.count, bytes.count - position, 77_777)
          bytes.withUnsafeBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)]))
          }
          position += count
          return count
        }
      }
      writer.finish()
    }
    let sorted = streams.sorted { $0.key < $1.key }
    let shares = order == .sideBySide ? sorted.map { [$0] } : [sorted]
    let cutting = shares.map { share in { @Sendable in try cut(share) } }
    try runTogether(cancellation, label: "test", cutting + writer.bodies)
    var committed = try writer.commit(try dumpHeader(), cancellation: cancellation)
    committed.warnings += notes
    return committed
  }

  func stream(_ name: String, of backup: BackupID) throws -> [UInt8] {
    let reader = try DumpReader(BackupReader(repository, lineage, backup))
    var bytes: [UInt8] = []
    try reader.read(name, cancellation: Cancellation()) { bytes.append(contentsOf: $0) }
    return bytes
  }

  func verify(_ backup: BackupID) throws -> VerifyReport {
    try Verifier(repository: repository).verify(backup, depth: .full, cancellation: Cancellation())
  }
}
