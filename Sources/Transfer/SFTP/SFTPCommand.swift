/// What is done on an SFTP server beside a transfer. Paths are absolute.
public enum SFTPCommand: Sendable, Equatable {
  /// Makes a directory where it is missing; that this failed shows only when the directory is used.
  case makeDirectory(String)
  /// Removes a directory if it is empty, and goes on if that fails.
  case tryRemoveDirectory(String)
  case remove(String)
  /// Removes a file, and goes on if that fails.
  case tryRemove(String)
  /// Whether a file of the new name is replaced is the server's to say; OpenSSH's refuses.
  case rename(String, to: String)

  /// As libcurl reads it; a star lets the next one come after a failure.
  /// - SeeAlso: CURLOPT_QUOTE(3), "SFTP".
  var line: String {
    switch self {
    case .makeDirectory(let path): "*mkdir \(Self.quoted(path))"
    case .tryRemoveDirectory(let path): "*rmdir \(Self.quoted(path))"
    case .remove(let path): "rm \(Self.quoted(path))"
    case .tryRemove(let path): "*rm \(Self.quoted(path))"
    case .rename(let old, let new): "rename \(Self.quoted(old)) \(Self.quoted(new))"
    }
  }

  private static func quoted(_ path: String) -> String {
    "\"" + path.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
