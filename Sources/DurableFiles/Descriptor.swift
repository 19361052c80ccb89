internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// An open file; closed when it goes away. Always close-on-exec.
public struct Descriptor: ~Copyable, Sendable {
  public let number: CInt
  public let path: String

  /// - Parameter flags: As for `open(2)`; `O_CLOEXEC` is added.
  public init(opening path: String, _ flags: CInt, mode: UInt32 = 0o600) throws(FileError) {
    var descriptor: CInt
    repeat { descriptor = open(path, flags | O_CLOEXEC, mode) } while descriptor < 0 && errno == EINTR
    guard descriptor >= 0 else { throw .last(flags & O_CREAT != 0 ? "create" : "open", path) }
    number = descriptor
    self.path = path
  }

  deinit { close(number) }

  public func writeAll(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes
    while rest.count > 0 {
      let written = write(number, rest.baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw .last("write", path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(FileError) {
    var rest = bytes
    var position = offset
    while rest.count > 0 {
      let written = pwrite(number, rest.baseAddress, rest.count, off_t(position))
      if written < 0 {
        if errno == EINTR { continue }
        throw .last("write", path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      position += Int64(written)
    }
  }

  /// Reads until the buffer is full or the file ends.
  /// - Returns: Bytes read.
  public func readAll(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = pread(number, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + Int64(filled)))
      if count < 0 {
        if errno == EINTR { continue }
        throw .last("read", path)
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Data and metadata durable on return.
  public func sync() throws(FileError) {
    guard fsync(number) == 0 else { throw .last("fsync", path) }
  }
  /// Data and size durable on return.
  public func syncData() throws(FileError) {
    guard fdatasync(number) == 0 else { throw .last("fdatasync", path) }
  }
  public func size() throws(FileError) -> Int64 {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw .last("stat", path) }
    return Int64(status.st_size)
  }
  /// Makes a new file of this size. Where the file system can, its space is set aside: pages that come in any order
  /// then lie together, and a disk that is too small is found out now.
  public func reserve(_ size: Int64) throws(FileError) {
    guard size > 0 else { return }
    // It returns the error; errno is not set.
    let code = posix_fallocate(number, 0, off_t(size))
    guard code != 0 else { return }
    guard code == EOPNOTSUPP || code == ENOSYS || code == EINVAL else {
      throw FileError("set space aside for", path, code: code)
    }
    try truncate(to: size)
  }
  public func truncate(to size: Int64) throws(FileError) {
    guard ftruncate(number, off_t(size)) == 0 else { throw .last("truncate", path) }
  }
}
