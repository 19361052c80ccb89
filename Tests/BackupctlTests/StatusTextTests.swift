import BackupModel
import ControlProtocol
import Testing

@testable import backupctl

@Suite("backupctl status") struct StatusTextTests {
  private static let now = try! Timestamp(rfc3339: "2026-11-02T12:00:00Z")
  private let time = LocalTime(zone: .utc, isBrief: true)

  private static func tier(_ name: String, _ cluster: ClusterID, loss: Double?, _ state: ObjectiveState) -> TierStatus {
    var tier = TierStatus(
      name: TierID(unchecked: name), cluster: cluster, tables: [], rpoSeconds: 300, rtoSeconds: 900, roads: [])
    tier.lossSeconds = loss
    tier.rpoState = state
    return tier
  }

  private static func status(clusters: Int, conditions: Int = 2) -> DaemonStatus {
    let names = ["oauth", "billing", "analytics-and-reporting", "sessions"].prefix(clusters).map(
      ClusterID.init(unchecked:))
    let stores = [StoreID(unchecked: "local"), StoreID(unchecked: "cloud")]
    return DaemonStatus(
      version: "1.2.3", pid: 4242, startedAt: now - .seconds(86400), configurationPath: "/etc/backupd/backupd.yaml",
      configurationLoadedAt: now - .seconds(3600),
      clusters: names.map { name in
        ClusterStatus(
          name: name, systemIdentifier: nil,
          windows: [
            RecoveryWindow(
              from: now - .seconds(7 * 86400), to: now - .seconds(4), fromLSN: LSN(1), toLSN: LSN(2),
              timeline: TimelineID(1))
          ], stores: stores.map { StoreWindows(store: $0, windows: []) },
          roads: [
            RecoveryRoad(store: stores[0], means: .wal, backup: nil, to: now - .seconds(4), lossSeconds: 4),
            RecoveryRoad(store: stores[1], means: .wal, backup: nil, to: now - .seconds(604), lossSeconds: 604),
          ], lastBackup: nil, wal: nil)
      },
      tiers: names.flatMap { name in
        [
          tier("tokens", name, loss: 4, .met), tier("accounts", name, loss: 4, .met),
          tier("audit", name, loss: 640, .missed), tier("configuration", name, loss: nil, .unknown),
        ]
      }, stores: [],
      jobs: names.flatMap { name in
        ["hourly", "nightly", "weekly"].map { kind in
          JobSummary(
            name: JobID(unchecked: "\(name)-\(kind)"), kind: "physical", cluster: name, schedule: "0 * * * *",
            timezone: "UTC", nextRun: now + .seconds(1200), lastRun: nil, lastOutcome: .succeeded, lastSuccess: now,
            consecutiveFailures: kind == "weekly" ? 2 : 0, running: nil)
        }
      }, running: [],
      conditions: (0..<conditions).map {
        Condition(
          id: "c\($0)", severity: $0 == 0 ? .critical : .warning, since: now - .seconds(180),
          report: ErrorReport(
            summary:
              "tier \"audit\" of a cluster with a long name would lose more than its RPO of five minutes, number \($0)",
            detail: "Facts.", hint: "Look."))
      })
  }

  private func text(_ status: DaemonStatus, isFull: Bool = false) -> [String] {
    StatusText(status, isFull: isFull, now: Self.now, time: time, width: 80).text
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  @Test(
    "fits a screen of 80 by 24 for four clusters with four tiers each, however much is wrong", arguments: [0, 2, 30])
  func fits(conditions: Int) {
    let lines = text(Self.status(clusters: 4, conditions: conditions))
    #expect(lines.count < 24, "\(lines.joined(separator: "\n"))")
    #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines.filter { $0.count > 80 })")
  }

  @Test("leads with how near the present each cluster is, then its tiers, then what is wrong") func order() throws {
    let lines = text(Self.status(clusters: 4, conditions: 30))
    #expect(lines[0] == "oauth  recoverable to 11:59 (4s ago), from local, cloud (10m behind)")
    #expect(lines[1] == "  tokens RPO 4s/5m RTO -/15m   accounts RPO 4s/5m RTO -/15m")
    #expect(lines[2] == "  audit RPO 10m40s/5m RTO -/15m   configuration RPO unknown/5m RTO -/15m")
    let critical = try #require(lines.firstIndex { $0.hasPrefix("CRITICAL") })
    let jobs = try #require(lines.firstIndex { $0.hasPrefix("12 jobs, next oauth-hourly in 20m; failing: ") })
    #expect(critical > lines.lastIndex { $0.contains("recoverable to") } ?? .max && critical < jobs)
    #expect(lines.contains("26 more; what to do: backupctl status --full"))
  }

  @Test("shows everything of one cluster, and of all with --full") func details() {
    for lines in [text(Self.status(clusters: 1)), text(Self.status(clusters: 4), isFull: true)] {
      let text = lines.joined(separator: "\n")
      for part in [
        "  tokens       RPO 4s of 5m, RTO not measured, of 15m", "  any instant  ", "  last backup  none",
        "HINT: Look.", "NEXT RUN", "in local alone: nothing",
      ] { #expect(text.contains(part), "\(part) in \(text)") }
    }
  }
}
