internal import BackupModel
internal import BlockingWork
internal import CLinux
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// The processes of a scratch server: all that work in its data directory, which every process of PostgreSQL does and
/// what it starts does too. So also those are found that no pid file names. None of them has a terminal: somebody's shell
/// in there is not one of them.
struct ScratchProcesses {
  /// As the kernel names it.
  private let directory: String
  private let dataDirectory: String
  private static let patience: Duration = .seconds(10)

  /// Nil where the directory does not exist: then nothing works in it.
  init?(dataDirectory: String) {
    guard let path = realpath(dataDirectory, nil) else { return nil }
    defer { free(path) }
    directory = String(cString: path)
    self.dataDirectory = dataDirectory
  }

  /// Ends them all and removes the shared memory that a killed server cannot.
  /// - Throws: ``DrillError/processesLeft(_:_:)``.
  func end() throws {
    let segment = sharedMemory()
    let first = try pids()
    if !first.isEmpty {
      let postmaster = Postmaster(dataDirectory)?.pid ?? 0
      // An immediate shutdown: nothing of it is kept. What is no server takes it as an end as well.
      for pid in first where pid == postmaster || !first.contains(postmaster) { kill(pid, SIGQUIT) }
      if try !waitUntilGone() {
        for pid in try pids() { kill(pid, SIGKILL) }
        if try !waitUntilGone() { throw DrillError.processesLeft(dataDirectory, try pids()) }
      }
    }
    // A server that was killed leaves its segment; one that ended has removed it, which is as good.
    if let segment { _ = backupd_remove_segment(segment.identifier, segment.key) }
  }

  /// Not by cancellation: this is the way out.
  private func waitUntilGone() throws -> Bool {
    let deadline = ContinuousClock.now + Self.patience
    while try !pids().isEmpty {
      if ContinuousClock.now > deadline { return false }
      usleep(20_000)
    }
    return true
  }

  private func pids() throws -> [pid_t] {
    let own = getpid()
    return try DurableFile.names(in: "/proc").compactMap { pid_t($0) }.filter { pid in
      guard pid != own, let place = Self.workingDirectory(of: pid) else { return false }
      return (place == directory || place.hasPrefix(directory + "/")) && !Self.hasTerminal(pid)
    }
  }

  /// Nil where it has ended, or is another user's.
  private static func workingDirectory(of pid: pid_t) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { bytes in
      readlink("/proc/\(pid)/cwd", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  /// - SeeAlso: proc(5), `/proc/pid/stat`, `tty_nr`: the fifth field behind the name in parentheses.
  private static func hasTerminal(_ pid: pid_t) -> Bool {
    // Files of the kernel tell no size: they are read, not measured.
    var buffer = [UInt8](repeating: 0, count: 4096)
    guard let file = try? Descriptor(opening: "/proc/\(pid)/stat", O_RDONLY),
      let count = try? buffer.withUnsafeMutableBytes({ try file.readAll(into: $0, at: 0) })
    else { return false }
    let fields = String(decoding: buffer[..<count], as: UTF8.self).split(separator: ")").last?.split(separator: " ")
    return fields.map { $0.count > 4 && $0[4] != "0" } ?? false
  }

  /// Key and identifier of the segment by which PostgreSQL keeps a second server out.
  /// - SeeAlso: PostgreSQL source, `miscadmin.h`, `LOCK_FILE_LINE_SHMEM_KEY`.
  private func sharedMemory() -> (key: Int32, identifier: Int32)? {
    guard let bytes = try? DurableFile.read(dataDirectory + "/postmaster.pid", limit: 4096) else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 6 else { return nil }
    let numbers = lines[6].split(separator: " ").compactMap { UInt32($0) }
    guard numbers.count == 2 else { return nil }
    return (Int32(bitPattern: numbers[0]), Int32(bitPattern: numbers[1]))
  }
}
