#if canImport(Glibc)
  import Glibc
#endif

/// `restore_command`: takes a segment that was fetched ahead, or becomes `backupctl wal fetch`.
enum Fetch {
  /// Ends recovery instead of letting PostgreSQL take an error for the end of WAL: its `restore_command` treats 1 to 125
  /// as "no such segment".
  /// - SeeAlso: PostgreSQL source, `xlogarchive.c`, `RestoreArchivedFile`; `wait_error.c`.
  static let recoveryMustStop: CInt = 126

  static func run(_ arguments: ArraySlice<String>) -> CInt {
    guard arguments.count >= 2, let name = arguments.dropLast().last, let destination = arguments.last,
      isSegment(name), let directory = directory(for: arguments.dropLast(2))
    else { return become(Array(arguments)) }
    if takes(directory + "/" + name, to: destination) { return 0 }
    return become(Array(arguments) + ["--prefetch", directory])
  }

  private static func isSegment(_ name: String) -> Bool {
    name.utf8.count == 24 && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }
  }

  /// Where what is fetched ahead lies: another place for each recovery and each boot of the host, since files that a power
  /// loss has torn must not be given to recovery.
  private static func directory(for arguments: ArraySlice<String>) -> String? {
    guard let boot = bootIdentifier() else { return nil }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in (arguments + [boot]).joined(separator: "\0").utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return "backupd-prefetch-" + String(hash, radix: 16)
  }

  private static func bootIdentifier() -> String? {
    let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(file, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }

  /// - Returns: Whether the segment is at its destination; one that is on its way is waited for.
  private static func takes(_ path: String, to destination: String) -> Bool {
    // A store that hangs holds up this segment as it would the ordinary way; then that way gives the error.
    for _ in 0..<30_000 {
      if rename(path, destination) == 0 { return true }
      if errno == EXDEV { return moves(path, to: destination) }
      if access(path + ".coming", F_OK) != 0 {
        // It may just have come.
        return rename(path, destination) == 0 || (errno == EXDEV && moves(path, to: destination))
      }
      usleep(1000)
    }
    return false
  }

  /// `pg_wal` may lie on another file system.
  private static func moves(_ path: String, to destination: String) -> Bool {
    let temporary = destination + ".tmp"
    let source = open(path, O_RDONLY | O_CLOEXEC)
    guard source >= 0 else { return false }
    defer { close(source) }
    let target = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard target >= 0 else { return false }
    defer { close(target) }
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = read(source, &buffer, buffer.count)
      if count == 0 { break }
      var written = 0
      while written < count {
        let more = buffer.withUnsafeBytes { write(target, $0.baseAddress! + written, count - written) }
        guard more > 0 else { break }
        written += more
      }
      guard count > 0, written == count else {
        unlink(temporary)
        return false
      }
    }
    guard rename(temporary, destination) == 0 else {
      unlink(temporary)
      return false
    }
    unlink(path)
    return true
  }

  /// Becomes `backupctl wal fetch` with the same arguments, the program beside this one. Returns only where it cannot.
  private static func become(_ arguments: [String]) -> CInt {
    guard let own = realpath("/proc/self/exe", nil), let slash = strrchr(own, 0x2F) else {
      complain("could not find the directory of this program", detail: systemReason())
      return recoveryMustStop
    }
    slash.pointee = 0
    let program = String(cString: own) + "/backupctl"
    var words: [UnsafeMutablePointer<CChar>?] = (["backupctl", "wal", "fetch"] + arguments).map { strdup($0) }
    words.append(nil)
    execv(program, words)
    complain(
      "could not start \"\(program)\"", detail: systemReason(),
      hint: "Keep backupctl in the directory of backupd-wal, and let the server's user execute it.")
    return recoveryMustStop
  }
}
