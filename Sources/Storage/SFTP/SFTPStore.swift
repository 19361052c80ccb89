internal import BackupModel
public import BlockingWork
internal import Synchronization
public import Transfer

/// A store in a directory of an SFTP server. Objects are files, written below `tmp/` and renamed into place.
///
/// - Important: SFTP knows no fsync that libcurl could ask for. An object that was put is with the server, and whether it
///   outlives a power loss of that machine is the server's affair: a store for a copy, beside one that is durable by
///   itself.
///
/// Nothing is put over another object: OpenSSH's rename refuses that; at a server whose rename replaces, which the first
/// put finds out, by looking first, one writer at a time for each name. When an object was written is to be asked of each:
/// the protocol's listings say it in the server's own zone.
public final class SFTPStore: ObjectStore {
  public let settings: SFTPSettings
  let client: SFTPClient
  let retries: RetrySchedule
  private let health = ServerHealth()
  private let makesRoot: Bool
  let known = KnownDirectories()
  private let names = NameLocks()
  private let knownHabits = Mutex<Habits?>(nil)
  /// Temporary files that a lost connection left.
  private let leftovers = Mutex<Set<String>>([])

  public var location: String { "sftp://\(settings.login.user)@\(settings.login.address)\(settings.path)" }
  public var counters: TransferCounters? { client.counters }
  public var parallelism: Int { client.connections }

  /// - Parameters:
  ///   - options: How connections behave.
  ///   - retries: How long something is tried again.
  ///   - makesRoot: Whether the first `put` makes the store's directory where it is missing, see ``PosixStore``.
  public init(
    _ settings: SFTPSettings, options: TransferOptions = TransferOptions(), retries: RetrySchedule = RetrySchedule(),
    makesRoot: Bool = false
  ) {
    self.settings = settings
    self.makesRoot = makesRoot
    self.retries = retries
    client = SFTPClient(settings.login, options)
  }

  func path(_ name: String) -> String { settings.path + "/" + name }

  /// - Parameter again: Told before each further attempt.
  func trying<Result>(
    _ cancellation: Cancellation = Cancellation(), again: () -> Void = {}, _ body: () throws -> Result
  ) throws -> Result {
    try health.asking(retries) { retries in
      try retries.run(cancellation, advice: RetrySchedule.Advice.init) { attempt in
        if attempt > 0 {
          client.addRetry()
          again()
        }
        return try body()
      }
    }
  }

  // MARK: Writing

  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try calling("write", name) {
      if try !habits(cancellation).replaces { return try store(name, bytes, cancellation) }
      // Two processes could still meet; but names that matter are drawn at random, or their content compared.
      try names.holding(name.text) {
        if try find(name) != nil { throw StorageError.alreadyExists(name, in: location) }
        try store(name, bytes, cancellation)
      }
    }
  }

  private func store(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, _ cancellation: Cancellation) throws {
    var wasRepeated = false
    func again() { wasRepeated = true }
    try trying(cancellation, again: again) {
      while true {
        do {
          return try upload(bytes, to: path(name.text), cancellation)
        } catch let error as SFTPError where error.kind == .commandRefused || error.kind == .missing {
          if try find(name) != nil {
            // An attempt before this one may have stored it, though its answer never came.
            if wasRepeated, try isContent(name, bytes) { return }
            throw StorageError.alreadyExists(name, in: location)
          }
          // Somebody removed the directory when it was empty: the next attempt makes it again, and never the store's own.
          let directory = Self.parent(path(name.text))
          guard directory != settings.path, known.contains(directory) else { throw error }
          known.remove(directory)
        }
      }
    }
  }

  /// Writes a temporary file, and renames it when all of it is there.
  func upload(_ bytes: UnsafeRawBufferPointer, to target: String, _ cancellation: Cancellation) throws {
    // The time is for those who sweep, long after we died.
    let temporary = path("tmp/\(Timestamp.now().compact)-\(RandomID.random())")
    let left = leftovers.withLock { left in
      defer { left = [] }
      return left
    }
    let directories = unknownDirectories(above: [temporary, target])
    do {
      try client.upload(
        bytes, to: temporary, before: left.map { .tryRemove($0) } + directories.map { .makeDirectory($0) },
        after: [.rename(temporary, to: target)], cancellation)
    } catch {
      remove(temporary, after: error)
      throw error
    }
    for directory in directories { known.insert(directory) }
  }

  /// Where the server answers it is done at once; where the connection is gone, with the next object.
  private func remove(_ temporary: String, after error: any Error) {
    if error is SFTPError, (try? client.run([.tryRemove(temporary)], Cancellation())) != nil { return }
    leftovers.withLock { _ = $0.insert(temporary) }
  }

  /// From the top down; of the store's own directory and those above it only where they are ours to make.
  private func unknownDirectories(above files: [String]) -> [String] {
    var found: [String] = []
    for file in files {
      var directory = Self.parent(file)
      var missing: [String] = []
      while directory.utf8.count > (makesRoot ? 0 : settings.path.utf8.count), !known.contains(directory),
        !found.contains(directory)
      {
        missing.append(directory)
        directory = Self.parent(directory)
      }
      found += missing.reversed()
    }
    return found
  }

  private static func parent(_ path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

  /// What differs from server to server.
  struct Habits {
    /// Whether its rename replaces a file that is there.
    var replaces: Bool
    /// How far its clock is ahead of ours; nil where it does not tell when a file was written.
    var clockAhead: Duration?
  }

  /// Finds out how the server behaves, by a file below `tmp/`.
  func habits(_ cancellation: Cancellation) throws -> Habits {
    if let known = knownHabits.withLock({ $0 }) { return known }
    let target = path("tmp/\(Timestamp.now().compact)-\(RandomID.random())")
    let found = try trying(cancellation) {
      let replaces = try Array("A rename onto this file was tried.\n".utf8).withUnsafeBytes { bytes in
        do {
          for _ in 0..<2 { try upload(bytes, to: target, cancellation) }
          return true
        } catch let error as SFTPError where error.kind == .commandRefused || error.kind == .accessDenied {
          // Refused because of what is there, and not for some other reason.
          guard try client.size(of: target, cancellation) == Int64(bytes.count) else { throw error }
          return false
        }
      }
      let written = try client.modified(target, cancellation)
      return Habits(replaces: replaces, clockAhead: written.map { $0 - Timestamp.now() })
    }
    try trying(cancellation) { try client.run([.tryRemove(target)], cancellation) }
    knownHabits.withLock { $0 = found }
    return found
  }

  public func delete(_ name: ObjectName) throws {
    try calling("delete", name) {
      let path = path(name.text)
      var commands: [SFTPCommand] = [.remove(path)]
      // Of directories that hold little for a short time too many would be left; one that is not empty stays.
      if name.text.contains("/leases/") || name.text.contains(".partial/") {
        known.remove(Self.parent(path))
        commands.append(.tryRemoveDirectory(Self.parent(path)))
      }
      try trying {
        do {
          try client.run(commands, Cancellation())
        } catch let error as SFTPError where error.kind == .commandRefused {
          if try find(name) != nil { throw error }
        }
      }
    }
  }
}
