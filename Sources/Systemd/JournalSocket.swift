internal import CSystemd

#if canImport(Glibc)
  import Glibc
#endif

/// The native journal of this host.
public enum JournalSocket {
  /// Writes one entry. Where there is no journal nothing happens, as `sd_journal_sendv(3)` has it.
  public static func send(_ fields: [JournalLogHandler.Field]) {
    let texts = fields.map { Array("\($0.name)=\($0.value)".utf8) }
    var bytes = texts.flatMap { $0 }
    bytes.withUnsafeMutableBytes { buffer in
      var vectors: [iovec] = []
      var offset = 0
      for text in texts {
        vectors.append(iovec(iov_base: buffer.baseAddress.map { $0 + offset }, iov_len: text.count))
        offset += text.count
      }
      _ = sd_journal_sendv(vectors, CInt(vectors.count))
    }
  }

  /// Whether standard error is connected to the journal, so that its native protocol is the better way to the same place.
  /// - Parameter journalStream: The variable `JOURNAL_STREAM`: device and inode, `10:34412`.
  /// - SeeAlso: `systemd.exec(5)`, `$JOURNAL_STREAM`.
  public static func isStandardError(_ journalStream: String?, descriptor: CInt = 2) -> Bool {
    guard let parts = journalStream?.split(separator: ":"), parts.count == 2, let device = UInt64(parts[0]),
      let inode = UInt64(parts[1])
    else { return false }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return false }
    return UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode
  }
}
