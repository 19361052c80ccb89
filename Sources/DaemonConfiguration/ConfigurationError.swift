public import BackupModel
public import DurableFiles

/// One thing that is wrong in a configuration file, and where.
public struct ConfigurationProblem: Sendable, Hashable, Codable {
  /// Counted from 1; zero where the problem has no place.
  public var line: Int
  public var column: Int
  /// The key's whole path, `jobs.nightly.schedule`; empty for the file as such.
  public var key: String
  /// What is wrong, without a full stop.
  public var message: String
  /// What to write instead; nil where the message says it.
  public var advice: String?

  /// `file:line:column: key: message (advice)`.
  public func description(in path: String) -> String {
    var text = path
    if line > 0 { text += ":\(line):\(column)" }
    if !key.isEmpty { text += ": \(key)" }
    return text + ": \(message)" + (advice.map { "; \($0)" } ?? "")
  }
}

/// A configuration that cannot be used.
public enum ConfigurationError: OperatorError {
  case unreadable(FileError)
  /// Everything that is wrong with it, in the order of the file; never empty.
  case invalid(path: String, problems: [ConfigurationProblem])
  /// `config explain` was asked for a key that does not exist.
  case keyUnknown(String, suggestion: String?)
  /// - Parameter problem: A sentence; never the secret.
  case secretUnreadable(source: String, problem: String)
  /// Anybody on the host may read it, or its group write it.
  case secretReadable(path: String, mode: UInt32)

  public var summary: String {
    switch self {
    case .unreadable(let error): "could not read the configuration file \"\(error.path)\""
    case .invalid(let path, let problems):
      "the configuration file \"\(path)\" has \(problems.count == 1 ? "an error" : "\(problems.count) errors")"
    case .keyUnknown(let key, _): "there is no configuration key \"\(key)\""
    case .secretUnreadable(let source, _): "could not read the secret from \(source)"
    case .secretReadable(let path, _): "cannot use the secret in \"\(path)\""
    }
  }
  public var detail: String? {
    switch self {
    case .unreadable(let error): error.detail
    case .invalid(let path, let problems): problems.map { $0.description(in: path) }.joined(separator: "\n")
    case .keyUnknown: nil
    case .secretUnreadable(_, let problem): problem
    case .secretReadable(_, let mode):
      "Its mode is 0\(String(mode, radix: 8)): others may read it, or its group change it."
    }
  }
  public var hint: String? {
    switch self {
    case .unreadable(let error):
      error.isMissing ? "Write it, or name another with --config FILE or BACKUPD_CONFIG." : error.hint
    case .invalid(let path, let problems):
      problems.first.map(\.key).flatMap { ConfigurationReference.declaredPath(of: $0) }.map {
        // Without the names in angle brackets, which a shell would take for redirections.
        let key = $0.split(separator: ".").filter { !$0.hasPrefix("<") }.joined(separator: ".")
        return
          "\"backupctl config explain \(key)\" describes the first; \"backupctl config check --config \(path)\" checks again."
      } ?? "\"backupctl config explain\" lists all keys."
    case .keyUnknown(_, let suggestion):
      suggestion.map { "Did you mean \"\($0)\"?" } ?? "\"backupctl config explain\" lists all keys."
    case .secretUnreadable: nil
    case .secretReadable(let path, _): "Run \"chmod 640 \(path)\", and change the secret if others could have seen it."
    }
  }
}
