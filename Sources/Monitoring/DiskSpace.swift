internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// The room of the file system that a directory of ours lies on.
struct DiskSpace: Sendable, Hashable {
  var device: UInt64
  /// That of the first directory: stable for as long as the configuration is.
  var name: String
  var uses: [String]
  var freeBytes: Int64
  var totalBytes: Int64

  /// Empty where the directory does not exist: whoever needs it says so. May hang on a disk across a network.
  static func look(_ directory: MonitorPlan.Directory) -> [DiskSpace] {
    var status = stat()
    var disk = statvfs()
    guard stat(directory.path, &status) == 0, statvfs(directory.path, &disk) == 0 else { return [] }
    let block = Int64(clamping: disk.f_frsize)
    return [
      DiskSpace(
        device: UInt64(status.st_dev), name: directory.name, uses: ["\(directory.use) \"\(directory.path)\""],
        freeBytes: Int64(clamping: disk.f_bavail) &* block, totalBytes: Int64(clamping: disk.f_blocks) &* block)
    ]
  }
}
