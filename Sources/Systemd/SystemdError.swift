public import BackupModel

/// A service the service manager offers could not be used.
public enum SystemdError: OperatorError, Equatable {
  /// - Parameter reason: The system's words for the error.
  case credentialUnreadable(name: String, path: String, reason: String)
  /// - Parameter searched: The places looked into, in order.
  case credentialMissing(name: String, searched: [String])
  case credentialNameInvalid(String)
  /// - Parameter text: The value of `--credential`.
  case credentialOptionInvalid(_ text: String)

  public var summary: String {
    switch self {
    case .credentialUnreadable(let name, _, _): "could not read credential \"\(name)\""
    case .credentialMissing(let name, _): "could not find credential \"\(name)\""
    case .credentialNameInvalid(let name): "\"\(name.prefix(120))\" is not a valid credential name"
    case .credentialOptionInvalid(let text): "\"--credential \(text.prefix(120))\" names no file"
    }
  }
  public var detail: String? {
    switch self {
    case .credentialUnreadable(_, let path, let reason): "\"\(path)\": \(reason)."
    case .credentialMissing(_, let searched): "Sought in " + searched.map { "\"\($0)\"" }.joined(separator: ", ") + "."
    case .credentialNameInvalid: "A credential's name is a file name: not empty, without \"/\", not \".\" or \"..\"."
    case .credentialOptionInvalid: "A credential is given as NAME=FILE."
    }
  }
  public var hint: String? {
    switch self {
    case .credentialUnreadable: "Check who owns the file and its mode."
    case .credentialMissing(let name, _):
      "Add \"LoadCredential=\(name):FILE\" to the unit, or give \"--credential \(name)=FILE\"."
    case .credentialNameInvalid, .credentialOptionInvalid: nil
    }
  }
}
