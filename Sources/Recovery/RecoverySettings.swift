internal import BackupModel

/// What a restored server is told, in `postgresql.auto.conf`: the one settings file that `pg_verifybackup` leaves out.
struct RecoverySettings: Sendable {
  static let begin = "# backupd restore begin: settings for the recovery of backup "
  static let end = "# backupd restore end"

  let backup: BackupID
  /// Name and value, unquoted.
  private(set) var values: [(name: String, value: String)]

  init(plan: RestorePlan, options: RestoreOptions) {
    backup = plan.backup
    values = [
      (
        "restore_command",
        options.fetch.restoreCommand(cluster: options.cluster, until: plan.end, without: plan.unheard)
      ),
      ("recovery_target_timeline", plan.timeline.description),
      ("recovery_target_action", plan.action.rawValue),
      ("recovery_target_inclusive", "on"),
    ]
    // All five are written: one left over from an earlier recovery would be a second target, which is an error.
    var targets = ["recovery_target": "", "lsn": "", "name": "", "time": "", "xid": ""]
    switch plan.replayTarget {
    case .endOfWAL: break
    case .immediate: targets["recovery_target"] = "immediate"
    case .time(let time): targets["time"] = Self.text(of: time)
    case .lsn(let lsn): targets["lsn"] = lsn.description
    case .xid(let xid): targets["xid"] = "\(xid)"
    case .name(let name): targets["name"] = name
    }
    // The one that counts comes last: PostgreSQL looks at them in this order, and where one is set already it takes any
    // other that is named for a second, the empty ones too.
    for (name, value) in targets.sorted(by: { ($0.value.isEmpty ? 0 : 1, $0.key) < ($1.value.isEmpty ? 0 : 1, $1.key) })
    {
      values.append((name == "recovery_target" ? name : "recovery_target_" + name, value))
    }
    values += [("recovery_end_command", ""), ("archive_cleanup_command", ""), ("recovery_min_apply_delay", "0")]
    if options.role == .separate {
      // A restored server must not write where the original's WAL is kept, nor wait for or follow its partners.
      values += [
        ("archive_command", "/bin/false"), ("archive_library", ""), ("primary_conninfo", ""),
        ("primary_slot_name", ""), ("synchronous_standby_names", ""),
      ]
    }
  }

  /// PostgreSQL's own form with the zone as digits, so that no setting of the server changes its meaning.
  private static func text(of time: Timestamp) -> String {
    String(time.description.dropLast()).split(separator: "T").joined(separator: " ") + "+00"
  }

  /// The file with an earlier restore's settings taken out and these at the end, where the last one counts.
  func applied(to content: String) -> String {
    var lines: [Substring] = []
    var isOurs = false
    for line in content.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix(Self.begin) { isOurs = true }
      if !isOurs { lines.append(line) }
      if line == Self.end { isOurs = false }
    }
    while lines.last?.isEmpty == true { lines.removeLast() }
    let kept = lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
    let settings = values.map { "\($0.name) = \(Self.quoted($0.value))" }
    return kept + ([Self.begin + backup.text] + settings + [Self.end]).joined(separator: "\n") + "\n"
  }

  /// A value in quotes as `postgresql.conf` reads it, where backslashes escape as well.
  static func quoted(_ value: String) -> String {
    let escaped = value.unicodeScalars.map { scalar in
      switch scalar {
      case "'": "''"
      case "\\": "\\\\"
      default: String(scalar)
      }
    }
    return "'" + escaped.joined() + "'"
  }
}
