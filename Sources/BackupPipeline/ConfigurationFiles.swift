internal import BackupModel
internal import Postgres
internal import Repository

/// Configuration files that lie outside the data directory, Debian's way: kept with the backup.
struct ConfigurationFiles: Sendable {
  /// `config_file`, `hba_file`, `ident_file` to their paths.
  var settings: [String: String] = [:]
  var files: [(path: String, content: [UInt8])] = []
  var warnings: [String] = []

  static func read(_ connection: Connection, _ facts: ServerFacts) throws -> ConfigurationFiles {
    var result = ConfigurationFiles()
    for (name, path) in [
      ("config_file", facts.configFile), ("hba_file", facts.hbaFile), ("ident_file", facts.identFile),
    ] {
      result.settings[name] = path
    }
    let directory = facts.dataDirectory.map { $0.hasSuffix("/") ? $0 : $0 + "/" }
    let paths = Set(result.settings.values).union(facts.includedFiles)
    for path in paths.sorted() where path.hasPrefix("/") {
      if let directory, path.hasPrefix(directory) { continue }
      if let content = try connection.readServerFile(path) {
        result.files.append((path, content))
      } else {
        result.warnings.append(
          "configuration file \"\(path)\" is outside the data directory and could not be read; it is not in the backup")
      }
    }
    return result
  }

  func store(into filler: inout FrameFiller) throws {
    for (path, content) in files {
      filler.begin(path)
      try content.withUnsafeBytes { try filler.append($0) }
      _ = try filler.end(kind: .configuration, mode: 0o640, modified: Timestamp.now().seconds)
    }
  }
}
