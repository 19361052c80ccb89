internal import Glibc

/// A file without a name: what a child reads as standard input or writes as output. Gone with its last descriptor.
final class UnlinkedFile: Sendable {
  let descriptor: Int32

  init(content: String = "") throws {
    var template = Array((TemporaryDirectory.parent + "/backupd-test-file-XXXXXX").utf8CString)
    descriptor = mkstemp(&template)
    try Errno.check(descriptor, "mkstemp", TemporaryDirectory.parent)
    unlink(template)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var bytes = Array(content.utf8)[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      try Errno.check(Int32(clamping: written), "write", "standard input")
      bytes = bytes.dropFirst(written)
    }
    lseek(descriptor, 0, SEEK_SET)
  }

  deinit { close(descriptor) }

  /// All that has been written so far; the position that writer and reader share is left alone.
  var text: String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = pread(descriptor, &buffer, buffer.count, off_t(bytes.count))
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}
