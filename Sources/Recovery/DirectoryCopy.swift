internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Writes the files of a backup: one thread reads the manifest, makes empty files and hands out tasks, one checks packs
/// before their turn comes, the others open frames and write pages. `global/pg_control` is left to the caller: without it
/// nothing half restored can start.
final class DirectoryCopy: Sendable {
  static let controlFile = "global/pg_control"

  private let repository: Repository
  private let plan: RestorePlan
  private let layout: DirectoryLayout
  private let ownership: Ownership
  private let workers: Int
  private let share: HostShare
  private let totalBytes: Int64
  private let observe: @Sendable (RunProgress) -> Void
  private let packs: PackHeaders
  /// Nil where nothing is cold.
  private let thaw: ThawWait?
  private let pages: RestoredPages?
  private let rooms = StretchRooms()
  private let doneBytes = Atomic<Int64>(0)
  /// Entries kept for later: the control file.
  private let deferred = Mutex<ManifestFile?>(nil)

  init(
    repository: Repository, plan: RestorePlan, layout: DirectoryLayout, ownership: Ownership, workers: Int,
    share: HostShare, totalBytes: Int64, thaw: ThawWait?, pages: RestoredPages?,
    observe: @escaping @Sendable (RunProgress) -> Void
  ) {
    self.thaw = thaw
    self.pages = pages
    self.repository = repository
    self.plan = plan
    packs = PackHeaders(repository, plan.lineage)
    self.layout = layout
    self.ownership = ownership
    // What waits for a disk or a server takes no processor.
    self.workers = max(1, 2 * workers, repository.stores.first?.objects.parallelism ?? 1)
    self.share = share
    self.totalBytes = totalBytes
    self.observe = observe
  }

  /// Everything but the control file; written, not yet durable.
  func run(_ cancellation: Cancellation) throws {
    let tasks = BoundedRing<PackTask>(capacity: 16 * workers)
    let next = BoundedRing<PackID>(capacity: 16 * workers)
    let handler = cancellation.addHandler {
      tasks.abort()
      next.abort()
    }
    defer { cancellation.removeHandler(handler) }
    var threads: [@Sendable () throws -> Void] = [
      {
        try self.handOutTasks(cancellation, tasks, next)
        tasks.close()
        next.close()
      },
      { while let pack = try next.pop() { try self.packs.check(pack) } },
    ]
    for _ in 0..<workers { threads.append { try self.work(cancellation, tasks) } }
    try runTogether(cancellation, label: "restore", share: share, threads)
    try cancellation.check()
  }

  private func work(_ cancellation: Cancellation, _ tasks: BoundedRing<PackTask>) throws {
    let writer = try FileWriter(packs, plan.backup, rooms, pages)
    while let task = try tasks.pop() {
      try writer.run(task) { count in
        try cancellation.check()
        doneBytes.add(Int64(count), ordering: .relaxed)
      }
      report()
    }
  }

  private func report() {
    let done = doneBytes.load(ordering: .relaxed)
    observe(RunProgress(phase: "copy", doneBytes: ByteCount(done), totalBytes: ByteCount(totalBytes)))
  }

  /// - Parameter next: Gets each pack before its tasks.
  private func handOutTasks(
    _ cancellation: Cancellation, _ tasks: BoundedRing<PackTask>, _ next: BoundedRing<PackID>
  ) throws {
    let reader = try BackupReader(repository, plan.lineage, plan.backup)
    // Not needed to restore, but a manifest that is damaged anywhere is not trusted.
    _ = try reader.livePacks()
    var batch = PackBatch()
    var last: PackID?
    let queue = ThawedTasks(thaw, cancellation) { task in
      if task.pack != last { try next.push(task.pack) }
      last = task.pack
      try tasks.push(task)
    }
    try reader.forEachFile { entry in
      try cancellation.check()
      guard let path = layout.path(of: entry) else { return }
      if entry.path == Self.controlFile {
        deferred.withLock { $0 = entry }
        return
      }
      guard try make(entry, at: path), entry.size > 0 else { return }
      let map = try reader.pageMap(of: entry)
      let file = FileAssembly(path: path, entry: entry, isDirect: isWrittenDirectly(entry, map))
      try add(file, map, to: &batch, queue)
    }
    try batch.drain { try queue.push($0) }
    try queue.finish()
  }

  private func add(
    _ file: FileAssembly, _ map: PageMap, to batch: inout PackBatch, _ queue: ThawedTasks
  ) throws {
    guard thaw != nil else { return try batch.add(file, joining: map) { try queue.push($0) } }
    // Pages joined in memory would wait there for hours for the pack that has the last of them.
    var next = 0
    while next < map.runs.count {
      next = batch.add(file, map, from: next)
      if batch.isFull { try batch.drain { try queue.push($0) } }
    }
  }

  /// Small files and scattered pages are the page cache's: it makes few requests to the disk of many.
  private func isWrittenDirectly(_ entry: ManifestFile, _ map: PageMap) -> Bool {
    guard entry.size >= FileWriter.directSize, entry.size % UInt64(FileWriter.directAlignment) == 0 else {
      return false
    }
    return map.hasLongRuns || thaw == nil && map.isJoinedThroughout
  }

  /// Makes a directory, a link, or a file of the right size, mode and owner.
  /// - Returns: Whether it is a file, whose content follows.
  private func make(_ entry: ManifestFile, at path: String) throws -> Bool {
    switch entry.kind {
    case .directory:
      try makeDirectory(entry, path)
      return false
    case .symlink:
      let oid = entry.path.split(separator: "/").last.map(String.init) ?? ""
      guard let target = layout.tablespaces[oid] ?? entry.linkTarget else { return false }
      guard symlink(target, path) == 0 else { throw FileError.last("make the link", path) }
      try ownership.give(path)
      return false
    case .configuration:
      try makeParents(of: path)
      try makeFile(entry, path)
    case .file:
      try makeFile(entry, path)
    case .streamPart:
      // The reader refuses one in a physical backup.
      return false
    }
    return true
  }

  private func makeDirectory(_ entry: ManifestFile, _ path: String) throws {
    if entry.path == "pg_wal", let walDirectory = layout.walDirectory {
      guard symlink(walDirectory, path) == 0 else { throw FileError.last("make the link", path) }
      return try ownership.give(path)
    }
    // Directories of tablespaces that are roots exist by now.
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError.last("make the directory", path) }
    try ownership.give(path)
    try setMode(entry, path)
    if entry.path == "global" {
      // The stream has no entry for the data directory itself; its mode is that of the directories in it.
      for root in layout.roots { try setMode(entry, root.path) }
    }
  }

  private func setMode(_ entry: ManifestFile, _ path: String) throws {
    guard chmod(path, UInt32(entry.mode & 0o7777)) == 0 else { throw FileError.last("set the mode of", path) }
  }

  private func makeFile(_ entry: ManifestFile, _ path: String) throws {
    let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    try file.reserve(Int64(entry.size))
    if ownership.mustChange, fchown(file.number, ownership.user, ownership.group) != 0 {
      throw FileError.last("give to \(ownership.name)", path)
    }
    guard fchmod(file.number, UInt32(entry.mode & 0o7777)) == 0 else { throw FileError.last("set the mode of", path) }
  }

  /// Directories below the one for configuration files.
  private func makeParents(of path: String) throws {
    let parent = DurableFile.parent(of: path)
    guard !DurableFile.exists(parent) else { return }
    try makeParents(of: parent)
    guard mkdir(parent, 0o755) == 0 else { throw FileError.last("make the directory", parent) }
    try ownership.give(parent)
  }

  /// Writes the control file, durable on return: from now on the server can start.
  func writeControlFile(_ cancellation: Cancellation) throws {
    guard let entry = deferred.withLock({ $0 }), let path = layout.path(of: entry), entry.size > 0 else {
      throw RecoveryError.backupNotRestorable(plan.backup, reason: "It has no \"\(Self.controlFile)\".")
    }
    // Under a name that means nothing until it is whole.
    let temporary = path + ".tmp"
    unlink(temporary)
    try makeFile(entry, temporary)
    let file = FileAssembly(path: temporary, entry: entry)
    let reader = try BackupReader(repository, plan.lineage, plan.backup)
    var batch = PackBatch()
    let map = try reader.pageMap(of: entry)
    try thaw?.wait(for: map.packs, cancellation)
    _ = batch.add(file, map, from: 0)
    let writer = try FileWriter(packs, plan.backup, rooms, pages)
    try batch.drain { task in
      try writer.run(task) { doneBytes.add(Int64($0), ordering: .relaxed) }
    }
    try Descriptor(opening: temporary, O_RDONLY).sync()
    guard rename(temporary, path) == 0 else { throw FileError.last("rename into place", path) }
    try DurableFile.syncDirectory(of: path)
    report()
  }
}
