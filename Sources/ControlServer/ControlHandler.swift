public import BackupModel
public import ControlProtocol

/// Who asks for something, as the kernel knows them.
public struct Caller: Sendable, Hashable, CustomStringConvertible {
  public var processID: Int32
  public var userID: UInt32
  public var groupID: UInt32
  /// Nil where the user database has no name for the id.
  public var userName: String?

  public init(processID: Int32, userID: UInt32, groupID: UInt32, userName: String?) {
    self.processID = processID
    self.userID = userID
    self.groupID = groupID
    self.userName = userName
  }
  /// `carol (uid 1003)`.
  public var description: String { userName.map { "\($0) (uid \(userID))" } ?? "uid \(userID)" }
}

/// What the daemon does for its callers. Whether they may is settled before it is asked.
///
/// Throw ``ControlFailure`` for the errors that have a name; any other error reaches the caller as `OperationFailed`
/// with its three parts. Every method's task is cancelled when the caller hangs up and when the server stops: that ends
/// the waiting and the telling, never the run itself.
public protocol ControlHandler: Sendable {
  func ping() async -> PingReply
  func status() async throws -> DaemonStatus
  func jobs() async throws -> [JobSummary]

  /// Starts a run and returns its record once it has begun.
  /// - Throws: ``ControlFailure`` `NoSuchJob`, `AlreadyRunning`, `JobFailed`, `ShuttingDown`.
  func startJob(_ job: JobID, caller: Caller) async throws -> RunRecord

  /// Starts a run, calls `update` at its start and each change, and returns its last record.
  ///
  /// - Parameter update: Waits for the caller to take it, some seconds if need be, and throws once the caller is gone:
  ///   the run itself must not wait for it. Not to be called with the last record.
  func runJob(
    _ job: JobID, caller: Caller, update: @escaping @Sendable (RunRecord) async throws -> Void
  ) async throws -> RunRecord

  /// - Throws: ``ControlFailure`` `NoSuchRun`.
  func cancelRun(_ run: RunID, caller: Caller) async throws

  /// The newest runs, oldest first.
  /// - Parameter limit: 1 to 1000.
  func runs(job: JobID?, limit: Int) async throws -> [RunRecord]

  /// Calls `update` first with ``runs(job:limit:)`` and then with each change, until cancelled.
  func followRuns(
    job: JobID?, limit: Int, update: @escaping @Sendable ([RunRecord]) async throws -> Void
  ) async throws

  /// - Returns: What is different now, a sentence each.
  /// - Throws: ``ControlFailure`` `ConfigurationInvalid`.
  func reload(caller: Caller) async throws -> [String]

  func walStatus() async throws -> [WALStatus]

  /// The daemon in numbers, in Prometheus' text format.
  func metrics() async throws -> String

  /// Ends the conditions that tell of missing WAL.
  /// - Parameter cluster: Nil for all.
  /// - Returns: The clusters of which there was one.
  func acknowledgeGaps(of cluster: ClusterID?, caller: Caller) async throws -> [ClusterID]

  /// Sends a test message and returns how each channel took it.
  /// - Parameter channel: Nil for all.
  /// - Throws: ``ControlFailure`` `NoSuchChannel`.
  func testAlerts(channel: AlertChannelID?, caller: Caller) async throws -> [AlertTestResult]

  /// Takes a file for archiving and returns when it is durable.
  /// - Throws: ``ControlFailure`` `NoSuchCluster`.
  func pushWAL(_ path: String, of cluster: ClusterID, caller: Caller) async throws
}
