internal import CLinux
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Whether a directory's disk can keep what the server is told is safe, and how long that takes.
enum DiskProbe {
  private static let page = [UInt8](repeating: 0x5A, count: 8192)
  private static let rounds = 15
  /// - SeeAlso: `statfs(2)`; `linux/magic.h`.
  private static let volatile: [Int: String] = [0x0102_1994: "tmpfs", 0x8584_58F6: "ramfs"]

  /// - Returns: The median time of a write and its `fdatasync`.
  /// - Throws: ``WALArchivingError/landingVolatile(_:kind:)``, `FileError` where the disk cannot sync.
  static func probe(_ directory: String) throws -> Duration {
    let type = backupd_file_system_type(directory)
    guard type >= 0 else { throw FileError.last("look at the file system of", directory) }
    if let kind = volatile[type] { throw WALArchivingError.landingVolatile(directory, kind: kind) }
    let path = directory + "/probe"
    defer { unlink(path) }
    let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC)
    var times: [Duration] = []
    for number in 0..<rounds {
      let begin = ContinuousClock.now
      try page.withUnsafeBytes { try file.writeAll($0, at: Int64(number * page.count)) }
      try file.syncData()
      times.append(ContinuousClock.now - begin)
    }
    return times.sorted()[rounds / 2]
  }
}
