internal import BackupModel
internal import Cryptography
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A file that holds a wrapping key: the line `backupd-key-1 <id> <64 hexadecimal digits>`, mode 0600.
public struct KeyFile: Sendable {
  public let path: String
  /// Eight hexadecimal digits, not secret: tells one key file from another.
  public let id: String
  let key: SymmetricKey

  private static let marker = "backupd-key-1"

  /// Reads a key file.
  /// - Throws: ``KeyError``: missing, readable by others, or not a key file.
  public static func read(_ path: String) throws -> KeyFile {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { throw KeyError.keyFileMissing(path) }
      throw KeyError.keyFileUnreadable(path, cause: ErrorReport(FileError.last("open", path)))
    }
    guard status.st_mode & 0o077 == 0 else { throw KeyError.keyFileReadable(path, mode: status.st_mode) }
    let bytes: [UInt8]
    do {
      bytes = try DurableFile.read(path, limit: 4096)
    } catch {
      throw KeyError.keyFileUnreadable(path, cause: ErrorReport(error))
    }
    let fields = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard fields.count == 3, fields[0] == marker, let key = BytesText.bytes(hexadecimal: String(fields[2])),
      key.count == SymmetricKey.size
    else { throw KeyError.keyFileMalformed(path) }
    let file = try KeyFile(path: path, key: SymmetricKey(key))
    // The id is derived from the key: a mistyped digit shows before anything is opened with it.
    guard file.id == fields[1] else { throw KeyError.keyFileMalformed(path) }
    return file
  }

  /// Makes a new key file with mode 0600.
  /// - Throws: `FileError` with `EEXIST` where there is one: it is never overwritten.
  public static func create(_ path: String) throws -> KeyFile {
    let file = try KeyFile(path: path, key: .random())
    let line = "\(marker) \(file.id) \(BytesText.hexadecimal(file.key.reveal()))\n"
    try DurableFile.makeDirectory(DurableFile.parent(of: path), mode: 0o755)
    try DurableFile.create(path, with: Array(line.utf8), mode: 0o600)
    return file
  }

  private init(path: String, key: SymmetricKey) throws {
    self.path = path
    self.key = key
    id = BytesText.hexadecimal(Array(try key.derive(salt: [], info: "backupd key file id").reveal().prefix(4)))
  }
}
