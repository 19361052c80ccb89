public import BackupModel

/// What a restore did: the keys of `backupctl restore --json`.
public struct RestoreReport: Sendable, Hashable, Codable {
  public struct Setting: Sendable, Hashable, Codable {
    public var name: String
    public var value: String
    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }
  public var cluster: ClusterID
  public var backup: BackupID
  public var directory: String
  public var target: RecoveryTarget
  /// Where the target lies in the WAL, as far as the index tells.
  public var targetLSN: LSN?
  public var timeline: TimelineID
  /// WAL is replayed up to here at most.
  public var plannedEndLSN: LSN
  public var action: TargetAction
  public var files: Int
  public var totalBytes: ByteCount
  public var phases: [RunPhase]
  /// What was written to `postgresql.auto.conf`.
  public var settings: [Setting]
  public var warnings: [String]
  /// How the server that `--start` started came out; nil where none was started.
  public var server: ServerOutcome?
  /// Sentences for the operator: what to do now.
  public var nextSteps: [String]
}

/// How far a started server has come.
public struct ServerOutcome: Sendable, Hashable, Codable {
  public enum State: String, Sendable, Hashable, Codable { case promoted, paused, shutDown }
  public var state: State
  public var port: Int?
  public var socketDirectory: String?
  public var logFile: String
  public init(state: State, port: Int?, socketDirectory: String?, logFile: String) {
    self.state = state
    self.port = port
    self.socketDirectory = socketDirectory
    self.logFile = logFile
  }
}
