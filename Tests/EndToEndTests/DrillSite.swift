import BackupModel
import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// An installation with a drill, `validation`.
extension BackupSite {
  /// Rows that the drills of these tests ask for.
  static let ledgerCheck = "select 'ledger' as name, count(*) as value, 1 as min from ledger;\n"

  var checksFile: String { directory + "/checks.sql" }
  var scratchRegistry: String { state + "/drills" }

  /// Writes the configuration anew, with a drill that has these keys, and the file of checks.
  func configureDrill(
    _ server: PostgresServer, keys: [String] = [], heartbeat: Bool = true, checks: String? = ledgerCheck
  ) throws {
    if let checks { try checks.write(toFile: checksFile, atomically: false, encoding: .utf8) }
    let keys =
      ["kind: drill", "cluster: main", "programs: \(server.binDirectory)"]
      + (checks == nil ? [] : ["checks: \(checksFile)"]) + keys
    let jobs = standardConfiguration.replacing(
      "kind: wal, cluster: main", with: "kind: wal, cluster: main, heartbeat: \(heartbeat)")
    try writeConfiguration(jobs + "  validation: {\(keys.joined(separator: ", "))}\n")
  }

  /// Runs the drill to its end; its last report.
  func drill() throws -> JSON { try json(["drill", "validation"])[0] }

  /// Runs the drill, which has to fail.
  func failingDrill(_ words: String..., location: SourceLocation = #_sourceLocation) throws {
    let report = try drill()
    #expect(report["outcome"].text == "failed", "\(report)", sourceLocation: location)
    let error = report["error"]
    let text = [error["summary"].text, error["detail"].text, error["hint"].text].compactMap { $0 }.joined(
      separator: " ")
    for word in words { #expect(text.contains(word), "\"\(word)\" in \(text)", sourceLocation: location) }
    try expectNothingLeft(location: location)
  }

  /// Begins a drill and returns once it is in a phase.
  /// - Returns: The run's id.
  func beginDrill(waitingFor phase: String) throws -> String { try beginRun("validation", waitingFor: phase) }

  /// The same for any job.
  func beginRun(_ job: String, waitingFor phase: String) throws -> String {
    guard let run = try json("run", job, "--no-wait")["run"].text else {
      throw EndToEndError.unexpected("job \"\(job)\" did not begin")
    }
    // Its own file is looked at: a phase may be over before backupctl has been started.
    let path = "\(state)/live/\(run).json"
    try Poll.until(.seconds(120), "phase \(phase) of run \(run)", every: .milliseconds(2)) {
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
        throw EndToEndError.unexpected("run \(run) ended before \(phase): \(try json("runs", job))")
      }
      return try JSON(parsing: text)["progress"]["phase"].text == phase
    }
    return run
  }

  /// No directory, no process.
  func expectNothingLeft(location: SourceLocation = #_sourceLocation) throws {
    #expect(try leftovers() == [], sourceLocation: location)
    #expect(try scratchProcesses() == [], sourceLocation: location)
  }

  func leftovers() throws -> [String] {
    guard FileManager.default.fileExists(atPath: scratchRegistry) else { return [] }
    return try FileManager.default.contentsOfDirectory(atPath: scratchRegistry)
  }

  /// Processes whose working directory lies in this installation.
  func scratchProcesses() throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { pid in
      let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
      return place?.hasPrefix(directory + "/") == true
    }
  }

  /// Identifiers of System V shared memory of user `postgres`.
  func sharedMemory() throws -> Set<String> {
    let lines = try String(contentsOfFile: "/proc/sysvipc/shm", encoding: .utf8).split(separator: "\n").dropFirst()
    return Set(lines.compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) })
  }

  /// The identifier in the scratch server's `postmaster.pid`.
  func scratchSegment() throws -> String? {
    let path = scratchRegistry + "/validation/data/postmaster.pid"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.count > 6 ? lines[6].split(separator: " ").last.map(String.init) : nil
  }
}
