internal import BackupModel
internal import BlockingWork
internal import DurableFiles
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The directory a drill works in: restored data, tablespaces, the server's socket and log. Made by a drill and removed
/// by it, or by whoever comes next: a file in it says whose it is, and holds a lock for as long as the drill lives.
public struct ScratchDirectory: ~Copyable {
  /// What the file says: for people, and so that nothing is removed that a drill did not make.
  struct Marker: Codable {
    var format: Int
    var job: JobID
    var cluster: ClusterID
    var pid: Int32
    var started: Timestamp
  }
  private static let markerName = "backupd-drill.json"
  private static let formatVersion = 1

  let path: String
  private let entry: String
  private let lock: LockFile

  var dataDirectory: String { path + "/data" }
  var tablespaces: String { path + "/tablespaces" }
  var socketDirectory: String { path + "/socket" }
  var logFile: String { path + "/server.log" }

  /// Makes it, once what an earlier drill left is removed.
  /// - Throws: ``DrillError``, `FileError`, `CancellationError`.
  static func take(_ options: DrillOptions, _ cancellation: Cancellation) throws -> ScratchDirectory {
    try DurableFile.makeDirectory(options.registry)
    if let scratch = options.scratch, !DurableFile.exists(scratch) {
      throw DrillError.scratchParentMissing(options.directory)
    }
    let entry = "\(options.registry)/\(options.job)"
    let socket = options.directory + "/socket/.s.PGSQL.5432"
    guard socket.utf8.count <= MinimalConfiguration.longestSocketPath else {
      throw DrillError.socketPathTooLong(options.directory)
    }
    try waitForTurn(entry, cancellation)
    try remove(options.directory)
    if options.directory != entry {
      // Known before it exists, so that it is found whenever the daemon dies.
      guard symlink(options.directory, entry) == 0 else { throw FileError.last("link", entry) }
      try DurableFile.syncDirectory(options.registry)
    }
    guard mkdir(options.directory, 0o700) == 0 else { throw FileError.last("make the directory", options.directory) }
    let marker = options.directory + "/" + markerName
    guard let lock = try LockFile.tryLock(marker) else { throw DrillError.scratchBusy(options.directory) }
    try write(
      Marker(
        format: formatVersion, job: options.job, cluster: options.cluster, pid: getpid(), started: .now()),
      to: marker)
    for name in ["tablespaces", "socket"] {
      guard mkdir("\(options.directory)/\(name)", 0o700) == 0 else {
        throw FileError.last("make the directory", "\(options.directory)/\(name)")
      }
    }
    return ScratchDirectory(path: options.directory, entry: entry, lock: lock)
  }

  private init(path: String, entry: String, lock: consuming LockFile) {
    self.path = path
    self.entry = entry
    self.lock = lock
  }

  /// Ends whatever still runs in it and removes it all.
  consuming func remove() throws {
    try Self.empty(path)
    try Self.removeMarker(path)
    try Self.removeEntry(entry)
  }

  // MARK: What is left behind

  /// Removes what drills that died left, a server that still runs included. Those that are at work are left alone.
  /// - Parameter registry: As in ``DrillOptions/registry``.
  /// - Returns: The jobs of which there was something.
  /// - Throws: The first failure, when all have been tried.
  public static func sweep(registry: String) throws -> [String] {
    guard DurableFile.exists(registry) else { return [] }
    var removed: [String] = []
    var failure: (any Error)?
    for name in try DurableFile.names(in: registry) {
      do {
        try removeLeftover("\(registry)/\(name)")
        removed.append(name)
      } catch DrillError.scratchBusy {
        continue
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
    return removed
  }

  /// A drill of the same job that is just ending, or being cleaned up, is waited for.
  private static func waitForTurn(_ entry: String, _ cancellation: Cancellation) throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while true {
      do {
        return try removeLeftover(entry)
      } catch let error as DrillError {
        guard case .scratchBusy = error, ContinuousClock.now < deadline else { throw error }
        try cancellation.sleep(.milliseconds(200))
      }
    }
  }

  private static func removeLeftover(_ entry: String) throws {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { bytes in
      readlink(entry, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    try remove(count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : entry)
    try removeEntry(entry)
  }

  /// - Throws: ``DrillError/scratchBusy(_:)``, ``DrillError/scratchForeign(_:found:)``.
  private static func remove(_ path: String) throws {
    guard DurableFile.exists(path) else { return }
    let names = try DurableFile.names(in: path)
    // One that died between making the directory and the file left nothing else.
    guard names.contains(markerName) else {
      guard names.isEmpty else { throw DrillError.scratchForeign(path, found: names) }
      guard rmdir(path) == 0 else { throw FileError.last("remove", path) }
      return
    }
    guard let lock = try LockFile.tryLock(path + "/" + markerName) else { throw DrillError.scratchBusy(path) }
    guard names == [markerName] || isMarked(path) else { throw DrillError.scratchForeign(path, found: names) }
    try empty(path)
    try removeMarker(path)
    _ = consume lock
  }

  private static func isMarked(_ path: String) -> Bool {
    guard let bytes = try? DurableFile.read(path + "/" + markerName, limit: 65536) else { return false }
    return (try? JSONDecoder().decode(Marker.self, from: Data(bytes)))?.format == formatVersion
  }

  /// Everything but the marker: where this ends in the middle, the next who comes goes on.
  ///
  /// A process that is just ending may make or remove a file below while it is emptied: then it is begun anew.
  private static func empty(_ path: String) throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      try ScratchProcesses(dataDirectory: path + "/data")?.end()
      do {
        return try removeContents(of: path)
      } catch {
        guard ContinuousClock.now < deadline else { throw error }
        usleep(50_000)
      }
    }
  }

  private static func removeContents(of path: String) throws {
    for name in try DurableFile.names(in: path) where name != markerName {
      // Links, such as those to tablespaces, go themselves; what they lead to lies in this directory as well.
      try FileManager.default.removeItem(atPath: path + "/" + name)
    }
  }

  private static func removeMarker(_ path: String) throws {
    try DurableFile.remove(path + "/" + markerName)
    guard rmdir(path) == 0 else { throw FileError.last("remove", path) }
    try DurableFile.syncDirectory(of: path)
  }

  private static func removeEntry(_ entry: String) throws {
    // Where the directory itself is the entry it is gone already.
    if DurableFile.exists(entry) { try DurableFile.remove(entry) }
  }

  /// In place, since the lock is on this very file.
  private static func write(_ marker: Marker, to path: String) throws {
    let bytes = Array(try JSONEncoder().encode(marker))
    let file = try Descriptor(opening: path, O_WRONLY)
    try bytes.withUnsafeBufferPointer { try file.writeAll(UnsafeRawBufferPointer($0)) }
    try file.sync()
    try DurableFile.syncDirectory(of: path)
  }
}
