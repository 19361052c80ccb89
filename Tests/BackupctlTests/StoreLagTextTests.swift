import BackupModel
import ControlProtocol
import Testing

@testable import backupctl

@Suite("backupctl status of a store that lags") struct StoreLagTextTests {
  private func text(_ objects: Int?) -> String {
    let store = StoreSummary(
      name: StoreID(unchecked: "cloud"), durability: "eventual", location: "s3://backups", missingObjects: objects,
      missingBytes: objects.map { ByteCount($0 * 100) }, lagSeconds: 300, error: ErrorReport(summary: "no answer"))
    let status = DaemonStatus(
      version: "1", pid: 1, startedAt: Timestamp(seconds: 0), configurationPath: "/c",
      configurationLoadedAt: Timestamp(seconds: 0), clusters: [], tiers: [], stores: [store], jobs: [], running: [],
      conditions: [])
    return StatusText(status, isFull: true, now: Timestamp(seconds: 1000), time: LocalTime(zone: .utc), width: 120).text
  }

  @Test("says what it lacks, or that nobody knows") func lacks() {
    #expect(text(3).contains("store cloud (eventual) lacks 3 objects, 300 B, behind for 5m: no answer"), "\(text(3))")
    let unknown = "store cloud (eventual) could not be looked at, behind for 5m: no answer"
    #expect(text(nil).contains(unknown), "\(text(nil))")
  }
}
