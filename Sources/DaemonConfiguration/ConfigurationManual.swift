extension ConfigurationReference {
  /// `docs/man/backupd.yaml.5`, in mdoc(7).
  public static func manual() -> String {
    var lines = [
      ".\\\" Written from the declarations of the keys: change those, then BACKUPD_UPDATE_REFERENCE=1 scripts/test.sh.",
      ".Dd November 25, 2026", ".Dt BACKUPD.YAML 5", ".Os", ".Sh NAME", ".Nm backupd.yaml",
      ".Nd configuration of the PostgreSQL backup daemon", ".Sh DESCRIPTION",
    ]
    lines += Roff.paragraph(
      """
      One YAML file tells `backupd` what to back up, where to and when: `/etc/backupd/backupd.yaml` unless `--config` or \
      `BACKUPD_CONFIG` names another. Durations are numbers with a unit (`250ms`, `10s`, `5m`, `1h30m`, `30d`, `2w`), \
      sizes have binary or decimal units (`32MiB`, `1GB`). Unknown keys, wrong types and dangling names are errors; all \
      of a file's errors are told at once. A secret is never a value: it is `{file: PATH}`, `{credential: NAME}` or \
      `{environment: NAME}`.
      """)
    lines.append(".Pp")
    lines += Roff.paragraph(
      "Check a changed file by `backupctl config check`, then have the daemon read it by `systemctl reload backupd`.")
    lines.append(".Sh KEYS")
    var path = ""
    for section in sections {
      // A path may come twice: the keys of a job depend on its kind.
      lines.append(section.path == path ? ".Pp" : ".Ss " + Roff.text(section.path))
      path = section.path
      lines += Roff.paragraph(section.sentence)
      lines.append(".Bl -tag -width Ds")
      for key in section.keys where !key.isRefused { lines += entry(key) }
      lines.append(".El")
    }
    lines.append(".Sh EXAMPLES")
    lines += [".Bd -literal"] + example.split(separator: "\n").map { Roff.literal(String($0)) } + [".Ed"]
    lines += [".Sh SEE ALSO", ".Xr backupctl 1 ,", ".Xr backupd 8"]
    return lines.joined(separator: "\n") + "\n"
  }

  private static func entry(_ key: KeyDeclaration) -> [String] {
    let range = key.range.map { ", \($0)" } ?? ""
    let standard = key.isRequired ? "required" : key.defaultText.map { "default \($0)" } ?? "not set by default"
    return [".It Cm " + Roff.text(key.name)] + Roff.paragraph(key.sentence)
      + Roff.paragraph("(\(key.type)\(range); \(standard))")
  }

  /// Small, and complete: it passes `config check`.
  static let example = """
    clusters:
      main:
        connection: host=/var/run/postgresql user=postgres dbname=postgres
    repository:
      encryption: {key-file: /etc/backupd/keys/repository.key}
      stores:
        local: {path: /var/lib/backupd/repository}
    jobs:
      wal:     {kind: wal, cluster: main, recovery-window: 7d}
      nightly: {kind: physical, cluster: main, schedule: "0 2 * * *", keep: 30d}
    """
}

/// Text as the manual's formatter takes it.
private enum Roff {
  private static let width = 78

  /// Lines of running text: a sentence begins a line, `code` is bold.
  static func paragraph(_ text: String) -> [String] {
    var lines: [String] = []
    var line = ""
    var isCode = false
    for word in text.split(separator: " ") {
      let isSentenceEnd = line.last == "." && word.first.map { $0.isUppercase || $0 == "`" } == true
      let escaped = escape(word, isCode: &isCode)
      if !line.isEmpty, isSentenceEnd || line.count + 1 + escaped.count > width {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? escaped : " " + escaped
    }
    return (lines + [line]).map(protected)
  }

  static func text(_ text: String) -> String { literal(text) }

  /// A line that keeps every character.
  static func literal(_ line: String) -> String {
    protected(line.map { $0 == "\\" ? "\\e" : String($0) }.joined())
  }

  private static func escape(_ word: Substring, isCode: inout Bool) -> String {
    var text = ""
    for character in word {
      switch character {
      case "`":
        isCode.toggle()
        text += isCode ? "\\fB" : "\\fR"
      case "\\": text += "\\e"
      // In code a hyphen is one also where it is copied from; in words it may break.
      case "-" where isCode: text += "\\-"
      default: text.append(character)
      }
    }
    return text
  }

  /// A line that begins like a request is none.
  private static func protected(_ line: String) -> String {
    line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
  }
}
