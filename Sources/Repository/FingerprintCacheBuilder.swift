internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Storage

/// Makes a fingerprint cache from manifests or checkpoints and the sealed tables of the packs they refer to.
final class FingerprintCacheBuilder {
  /// Tables kept open; one of 32 MiB of pages has up to a megabyte of fingerprints.
  private static let openTables = 64

  private let repository: Repository
  private let lineage: Lineage
  private let writer: FingerprintCacheWriter
  private var usage = PackUsage()
  private var metadataSizes: [PackID: UInt32] = [:]
  private var metadataBytes: [PackID: UInt64] = [:]
  /// Hashes of paths done: the first entry of a path counts.
  private var done: Set<UInt64> = []
  private var tables: [PackID: SealedObjectReader?] = [:]
  private var tableOrder: [PackID] = []

  init(_ repository: Repository, _ lineage: Lineage, path: String) throws {
    self.repository = repository
    self.lineage = lineage
    writer = try FingerprintCacheWriter(path: path)
  }

  /// Adds the files of a manifest or checkpoint that are not there yet.
  func add(
    _ reader: BackupReader, cancellation: Cancellation, observe: (RunProgress) -> Void = { _ in }
  ) throws {
    var sizes: [PackID: UInt32] = [:]
    for pack in try reader.livePacks() {
      if pack.kind == .pack {
        sizes[pack.pack] = pack.size
      } else {
        metadataSizes[pack.pack] = pack.size
        metadataBytes[pack.pack] = pack.liveBytes
      }
    }
    var bytes: Int64 = 0
    try reader.forEachFile { file in
      try cancellation.check()
      guard let reference = file.pageMap, done.insert(FingerprintCache.hash(file.path)).inserted else { return }
      let map = try reader.pageMap(of: file)
      let fingerprints = try fingerprints(of: map, pages: file.pages)
      usage.add(map)
      for pack in map.packs { usage.setSize(sizes[pack] ?? 0, of: pack) }
      add(file, reference, map, fingerprints)
      bytes += Int64(file.size)
      observe(
        RunProgress(phase: "reading tables", doneBytes: ByteCount(bytes), totalBytes: reader.header.totalBytes))
    }
  }

  private func add(_ file: ManifestFile, _ reference: PageMapReference, _ map: PageMap, _ fingerprints: [Fingerprint]) {
    usage.add(
      reference,
      of: .init(
        id: reference.metadataPack, size: metadataSizes[reference.metadataPack] ?? 0,
        frameBytes: metadataBytes[reference.metadataPack] ?? 0, live: 0, total: 0))
    let place = writer.append(fingerprints[...])
    var encoded = ByteWriter()
    map.encode(into: &encoded)
    writer.append(
      FingerprintCache.Entry(
        path: file.path, size: file.size, fingerprintOffset: place.offset, fingerprintChecksum: place.checksum,
        fingerprintPages: UInt32(fingerprints.count), reference: reference, map: encoded.bytes))
  }

  /// All zeros for a page in no run, or in a pack whose table cannot be read: it is stored anew.
  private func fingerprints(of map: PageMap, pages: UInt64) throws -> [Fingerprint] {
    let end = map.runs.last.map { UInt64($0.firstPage) + UInt64($0.count) } ?? 0
    var all = [Fingerprint](repeating: Fingerprint(low: 0, high: 0), count: Int(min(pages, end)))
    for run in map.runs where UInt64(run.firstPage) + UInt64(run.count) <= UInt64(all.count) {
      let frame = map.frames[Int(run.frame)]
      guard let table = try table(map.packs[Int(frame.pack)]),
        Int(frame.location.number) < table.frames.count,
        case let found = table.frames[Int(frame.location.number)], found.location == frame.location
      else { continue }
      let known = Array(table.fingerprints(of: found))
      for index in 0..<Int(run.count) where Int(run.slot) + index < known.count {
        all[Int(run.firstPage) + index] = known[Int(run.slot) + index]
      }
    }
    return all
  }

  private func table(_ pack: PackID) throws -> SealedObjectReader? {
    if let known = tables[pack] { return known }
    if tableOrder.count >= Self.openTables { tables[tableOrder.removeFirst()] = nil }
    var reader: SealedObjectReader?
    do {
      reader = try repository.read(.pack, lineage.pack(pack)) { $0 }
    } catch let error where error is StorageError || error is RepositoryError {
      // Its pages are unknown then, and stored anew: that heals what is wrong with it.
      reader = nil
    }
    tables[pack] = .some(reader)
    tableOrder.append(pack)
    return reader
  }

  /// Makes the cache durable under the path given at the beginning.
  func finish(_ backup: BackupID, changed: UInt64) throws {
    for (id, bytes) in metadataBytes { usage.close(metadata: id, size: metadataSizes[id] ?? 0, frameBytes: bytes) }
    try writer.finish(
      .init(
        repository: repository.id, cluster: lineage.cluster, systemIdentifier: lineage.systemIdentifier,
        backup: backup, pagesChanged: changed), usage)
  }
}
