public import BackupModel
internal import DurableFiles

/// A checked configuration: whatever it names is there, whatever it promises this version can do.
public struct Configuration: Sendable, Hashable {
  /// The file it was read from.
  public var path: String
  public var daemon: DaemonSettings
  public var clusters: [ClusterSettings]
  public var repository: RepositorySettings
  public var jobs: [JobSettings]
  public var alerts: [AlertChannelSettings] = []
  /// Nil: no address is called.
  public var heartbeat: HeartbeatSettings?
  public var monitoring: MonitoringSettings
  public var tiers: [TierSettings]
  public var metrics: MetricsSettings

  /// Reads and checks a file.
  /// - Throws: ``ConfigurationError`` with everything that is wrong with it.
  public static func load(path: String) throws(ConfigurationError) -> Configuration {
    try parse(text(of: path), path: path)
  }

  /// Checks the text of a file.
  /// - Throws: ``ConfigurationError/invalid(path:problems:)``.
  public static func parse(_ text: String, path: String) throws(ConfigurationError) -> Configuration {
    let document = ConfigurationDocument(text)
    let problems = ProblemList()
    for problem in document.problems { problems.add(problem) }
    guard let root = document.root else {
      if problems.problems.isEmpty {
        problems.add(ConfigurationProblem(line: 0, column: 0, key: "", message: "is empty"))
      }
      throw .invalid(path: path, problems: problems.sorted)
    }
    let configuration = ConfigurationReader(path: path).read(Place(node: root, path: "", problems: problems))
    guard let configuration, problems.problems.isEmpty else {
      throw .invalid(path: path, problems: problems.sorted)
    }
    return configuration
  }

  public func cluster(_ id: ClusterID) -> ClusterSettings? { clusters.first { $0.id == id } }
  public func job(_ id: JobID) -> JobSettings? { jobs.first { $0.id == id } }

  /// `daemon.socket` of a file that may have other errors, so that a broken file does not keep anybody from asking the
  /// daemon how it is; the standard path where it cannot be found.
  public static func socketPath(fromPossiblyBrokenFile path: String) -> String {
    guard let text = try? text(of: path) else { return standardSocket }
    if let root = ConfigurationDocument(text).root {
      let problems = ProblemList()
      guard case .mapping(let mapping) = root, let daemon = mapping["daemon"] else { return standardSocket }
      let reader = MappingReader(
        Place(node: daemon, path: "daemon", problems: problems), keys: DaemonKeys.section.keys)
      return reader?.value(DaemonKeys.socket) ?? standardSocket
    }
    // Not YAML at all: the words themselves.
    for line in text.split(separator: "\n") where !line.drop(while: { $0 == " " }).hasPrefix("#") {
      guard let range = line.firstRange(of: "socket:") else { continue }
      let value = line[range.upperBound...].drop { $0 == " " || $0 == "\"" || $0 == "'" }
      let word = value.prefix { !" \t,}\"'#\r".contains($0) }
      if word.hasPrefix("/"), word.utf8.count <= 107 { return String(word) }
    }
    return standardSocket
  }

  /// Where the socket is when no file says otherwise.
  public static let standardSocket = "/run/backupd/control.sock"

  private static func text(of path: String) throws(ConfigurationError) -> String {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try DurableFile.read(path, limit: 1 << 20)
    } catch {
      throw .unreadable(error)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let problem = ConfigurationProblem(line: 0, column: 0, key: "", message: "is not UTF-8 text")
      throw .invalid(path: path, problems: [problem])
    }
    return text
  }
}
