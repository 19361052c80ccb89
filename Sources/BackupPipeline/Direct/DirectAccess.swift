internal import BackupModel
internal import DurableFiles
internal import Postgres

#if canImport(Glibc)
  import Glibc
#endif

/// Whether the configured data directory can be read in place, and is the server's that the connection leads to.
enum DirectAccess {
  /// - Returns: Nil where it can be used, else why not.
  static func obstacle(_ directory: String?, _ facts: ServerFacts, _ identity: ServerFacts.Identity) -> String? {
    guard let directory else { return "The cluster has no \"data-directory\"." }
    guard identity.mayBackUp else {
      return
        "Role \"\(facts.role)\" may not run pg_backup_start and pg_backup_stop; a superuser can GRANT EXECUTE on them."
    }
    if let reported = facts.dataDirectory, let ours = realpath(directory, nil) {
      defer { free(ours) }
      if let theirs = realpath(reported, nil) {
        defer { free(theirs) }
        if strcmp(ours, theirs) != 0 { return "The server's data directory is \"\(reported)\", not \"\(directory)\"." }
      }
    }
    do {
      let control = try DurableFile.read(directory + "/" + DataDirectoryListing.controlFile, limit: 65536)
      guard control.count >= 8 else { return "\"global/pg_control\" there is too short." }
      let found = control.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
      guard found == facts.systemIdentifier.value else {
        return "\"\(directory)\" is of system identifier \(found); the server says \(facts.systemIdentifier)."
      }
      return try startObstacle(directory, identity) ?? readObstacle(directory)
    } catch {
      return [error.summary, error.detail].compactMap { $0 }.joined(separator: ": ")
    }
  }

  /// A copy of the directory has the same identifier: what tells them apart is which one this server runs on.
  private static func startObstacle(
    _ directory: String, _ identity: ServerFacts.Identity
  ) throws(FileError) -> String? {
    let text = String(decoding: try DurableFile.read(directory + "/postmaster.pid", limit: 65536), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 2, let started = Int64(lines[2].trimmingPrefix { $0 == " " }) else {
      return "\"postmaster.pid\" there does not say when the server started."
    }
    // The server's own clock wrote both, a moment apart.
    guard abs(started - identity.startedSeconds) <= 5 else {
      return "A server started there at another time than the one the connection leads to."
    }
    return nil
  }

  private static func readObstacle(_ directory: String) -> String? {
    for path in [directory, directory + "/base", directory + "/global"] where access(path, R_OK | X_OK) != 0 {
      return "\"\(path)\" cannot be read: \(String(cString: strerror(errno)))."
    }
    return nil
  }
}
