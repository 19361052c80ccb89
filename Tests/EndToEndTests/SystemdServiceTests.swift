import FoundationEssentials
import TestSupport
import Testing

/// Needs root, for namespaces of its own in which a second systemd is booted: `scripts/with-systemd.sh`.
@Suite("The service", .enabled(if: ProgramUser.canSwitch, "needs root to boot a systemd in namespaces"))
struct SystemdServiceTests {
  @Test("starts, logs with fields, reloads, comes back when killed, and stops, as systemctl tells it to")
  func underSystemd() throws {
    let source = try Self.sourceDirectory()
    let postgres = URL(filePath: try PostgresInstallation.find(15).binDirectory).deletingLastPathComponent()
      .deletingLastPathComponent().path
    let result = try Program.run(
      source + "/scripts/with-systemd.sh",
      [
        "--bind-ro", "\(try Programs.directory()):/mnt/programs", "--bind-ro", "\(postgres):/mnt/postgresql",
        "--bind-ro", "\(source):/mnt/source", "--", "env", "BACKUPD_TEST_PG=/mnt/postgresql",
        "/mnt/source/scripts/systemd-scenario.sh", "/mnt/programs",
      ])
    #expect(result.succeeded, "\(result.standardOutput)\(result.standardError)")
    #expect(result.standardOutput.contains("ok result of the stop"))
  }

  /// Where scripts and unit lie: above this file.
  private static func sourceDirectory(of file: String = #filePath) throws -> String {
    let directory = URL(filePath: file).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return directory.path
  }
}
