import BackupModel
import Recovery

// The documents of `restore`; described in docs/reference/json.md.

extension RestorePlan {
  func document(_ thaw: ThawPlan?) -> JSONValue {
    .fields([
      "cluster": header.cluster, "backup": backup, "target": target, "targetLSN": targetLSN, "timeline": timeline,
      "plannedEndLSN": end.lsn, "action": action.rawValue, "files": header.fileCount, "totalBytes": header.totalBytes,
      "warnings": warnings, "thaw": thaw,
    ])
  }
}

extension ThawPlan: JSONConvertible {
  var json: JSONValue {
    .fields([
      "store": store, "classes": classes, "tier": tier.rawValue, "days": Self.days, "packs": packs.count,
      "bytes": Self.bytes(of: packs), "frozenPacks": frozen.count, "frozenBytes": Self.bytes(of: frozen),
      "thawingPacks": thawing.count, "expectedSeconds": minutes.upperBound * 60,
      "estimatedDollars": (dollars * 100).rounded(.up) / 100,
    ])
  }
}

extension RestoreReport: JSONConvertible {
  var json: JSONValue {
    let settings = settings.map { JSONValue.fields(["name": $0.name, "value": $0.value]) }
    return .fields([
      "cluster": cluster, "backup": backup, "directory": directory, "target": target, "targetLSN": targetLSN,
      "timeline": timeline, "plannedEndLSN": plannedEndLSN, "action": action.rawValue, "files": files,
      "totalBytes": totalBytes, "phases": phases, "settings": settings, "warnings": warnings, "server": server,
      "nextSteps": nextSteps,
    ])
  }
}

extension ServerOutcome: JSONConvertible {
  var json: JSONValue {
    .fields([
      "state": state.rawValue, "port": port, "socketDirectory": socketDirectory, "logFile": logFile,
    ])
  }
}

/// A restore for people, before and after.
enum RestoreText {
  static func planned(_ plan: RestorePlan, _ thaw: ThawPlan?, into directory: String) -> String {
    let time = LocalTime()
    let header = plan.header
    let size = "\(header.fileCount) files, \(header.totalBytes)"
    return
      ([
        "would restore cluster \(header.cluster) into \"\(directory)\"",
        "  backup    \(plan.backup), finished \(time.full(header.finished)), \(size)",
        "  target    " + target(plan.target, plan.targetLSN),
        "  WAL       timeline \(plan.timeline), \(header.startLSN) to \(plan.end.lsn)",
        "  then      \(plan.action.rawValue)",
      ] + (thaw.map { ["  thaw      " + ThawQuestion.text($0)] } ?? []) + warnings(plan.warnings)).joined(
        separator: "\n")
  }

  static func done(_ report: RestoreReport) -> String {
    var lines = [
      "restored cluster \(report.cluster) into \"\(report.directory)\"",
      "  backup    \(report.backup), \(report.files) files, \(report.totalBytes)",
      "  target    " + target(report.target, report.targetLSN),
      "  WAL       timeline \(report.timeline), up to \(report.plannedEndLSN)",
      "  phases    " + PhaseText.line(report.phases),
    ]
    if let server = report.server { lines.append("  server    " + self.server(server)) }
    lines += warnings(report.warnings)
    if !report.nextSteps.isEmpty { lines += ["", "next:"] + report.nextSteps.map { "  - \($0)" } }
    return lines.joined(separator: "\n")
  }

  private static func warnings(_ warnings: [String]) -> [String] {
    warnings.map { "  " + "WARNING".styled(.warning) + ": \($0)" }
  }

  private static func target(_ target: RecoveryTarget, _ lsn: LSN?) -> String {
    let text = if case .time(let time) = target { "time \(LocalTime().exact(time))" } else { target.text }
    guard let lsn, target != .lsn(lsn) else { return text }
    return "\(text), at \(lsn)"
  }

  private static func server(_ server: ServerOutcome) -> String {
    let state =
      switch server.state {
      case .promoted: "promoted".styled(.good)
      case .paused: "paused at the target"
      case .shutDown: "shut down at the target"
      }
    let place = [server.port.map { "port \($0)" }, server.socketDirectory.map { "socket in \"\($0)\"" }]
    return ([state] + place.compactMap { $0 } + ["log \"\(server.logFile)\""]).joined(separator: ", ")
  }
}
