internal import BackupModel

/// The configuration explained, from the declarations that also decode and check it.
public enum ConfigurationReference {
  /// In the order of the reference. A path may come twice: the keys of a job depend on its kind.
  static let sections = [
    DaemonKeys.section, GroupKeys.section, ClusterKeys.section, RepositoryKeys.section, EncryptionKeys.section,
    StoreKeys.section, S3Keys.section, GCSKeys.section, SFTPKeys.section, JobKeys.section, JobKeys.physicalSection,
    JobKeys.logicalSection, JobKeys.walSection, JobKeys.copySection, DrillKeys.section, HealthKeys.section,
    TierKeys.section, AlertKeys.section, HeartbeatKeys.section, MonitoringKeys.section, MetricsKeys.section,
  ]

  /// The path and the declaration of every key this version reads.
  private static var declarations: [(path: String, key: KeyDeclaration)] {
    sections.flatMap { section in
      section.keys.filter { !$0.isRefused }.map { (section.path + "." + $0.name, $0) }
    }
  }

  /// Text for a terminal: every key in a line each, or one key in full.
  /// - Parameter key: `daemon.socket`, `jobs.<job>.keep`, `jobs.keep`, or with a name of your own: `jobs.nightly.keep`.
  ///   A section gives all keys below it; nil gives all there are.
  /// - Throws: ``ConfigurationError/keyUnknown(_:suggestion:)``.
  public static func explain(_ key: String? = nil) throws(ConfigurationError) -> String {
    guard let key else { return declarations.map { overview($0.path, $0.key) }.joined(separator: "\n") }
    if let path = declaredPath(of: key), let found = declarations.first(where: { $0.path == path }) {
      return full(found.path, found.key)
    }
    func plainPath(_ path: String) -> String {
      path.split(separator: ".").filter { !$0.hasPrefix("<") }.joined(separator: ".")
    }
    // Nearer to a key than to a section: "jobs.shedule" is a slip, not a job of that name.
    let suggestion = Suggestion.nearest(to: key, in: declarations.flatMap { [plainPath($0.path), $0.path] })
    let below = declarations.filter { matches(Array($0.path.split(separator: ".").dropLast()), key) }
    guard suggestion == nil, !below.isEmpty else { throw .keyUnknown(key, suggestion: suggestion) }
    return below.map { full($0.path, $0.key) }.joined(separator: "\n\n")
  }

  /// `docs/reference/configuration.md`.
  public static func markdown() -> String {
    var text = """
      # Configuration reference

      <!-- Written by "backupctl config explain --markdown"; change the declarations, not this file. -->

      One YAML file, `/etc/backupd/backupd.yaml` unless `--config FILE` or `BACKUPD_CONFIG` names another. Durations are
      numbers with a unit (`250ms`, `10s`, `5m`, `1h30m`, `30d`, `2w`), sizes have binary or decimal units (`32MiB`,
      `1GB`). Unknown keys, wrong types and dangling names are errors; all of a file's errors are told at once. A secret is
      never a value: it is `{file: PATH}`, `{credential: NAME}` or `{environment: NAME}`.

      """
    for section in sections {
      text += "\n## `\(section.path)`\n\n\(section.sentence)\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
      for key in section.keys where !key.isRefused {
        let range = key.range.map { ", \($0)" } ?? ""
        let standard = key.isRequired ? "required" : key.defaultText ?? "not set"
        text += "| `\(key.name)` | \(key.type)\(range) | \(standard) | \(key.sentence) |\n"
      }
    }
    return text
  }

  /// The path as declared of a key as somebody wrote it: `jobs.nightly.keep` is `jobs.<job>.keep`.
  static func declaredPath(of key: String) -> String? {
    declarations.first { matches($0.path.split(separator: "."), key) }?.path
  }

  /// Whether the parts of a declared path are those of a key, names in it chosen or left out.
  static func matches(_ declared: [Substring], _ key: String) -> Bool {
    let given = key.split(separator: ".")
    if given.count == declared.count { return zip(declared, given).allSatisfy { $0.hasPrefix("<") || $0 == $1 } }
    return declared.filter { !$0.hasPrefix("<") } == given
  }

  private static func overview(_ path: String, _ key: KeyDeclaration) -> String {
    let standard = key.isRequired ? "required" : key.defaultText.map { "default \(plain($0))" } ?? "not set by default"
    return "\(path): \(plain(key.type)), \(standard)"
  }

  private static func full(_ path: String, _ key: KeyDeclaration) -> String {
    var text = "\(path)\n  \(plain(key.sentence))\n  type: \(plain(key.type))"
    if let range = key.range { text += "\n  range: \(plain(range))" }
    return text + "\n  default: " + (key.isRequired ? "none, it is required" : key.defaultText.map(plain) ?? "not set")
  }

  static func plain(_ text: String) -> String { text.filter { $0 != "`" } }
}
