/// The Varlink interface of the daemon.
public enum ControlInterface {
  public static let name = "io.backupd.Control"

  /// The interface as callers get it from `org.varlink.service.GetInterfaceDescription`.
  ///
  /// A method's signature holds no parenthesis but its own, comments included: some clients look for the first one.
  /// - SeeAlso: <https://varlink.org/Interface-Definition>
  public static let description = """
    # Controls backupd, the backup daemon for PostgreSQL.
    #
    # Reading is for everyone who can connect. RunJob, CancelRun, Reload, AcknowledgeGaps and PushWAL are for root, the
    # daemon's user and members of the configured admin group. Times are RFC 3339 in UTC, LSNs as PostgreSQL prints them,
    # sizes bytes. Fields may be added; a reader skips those it does not know.
    interface io.backupd.Control

    # What an error says to a person.
    type ErrorReport (
      # What could not be done and to what.
      summary: string,
      # The facts.
      detail: ?string,
      # What to do next.
      hint: ?string
    )

    # Something wrong at the moment.
    type Condition (
      # Stable while it lasts: wal-receiver:oauth, job:nightly, configuration.
      id: string,
      severity: (warning, critical),
      since: string,
      report: ErrorReport,
      # What it is about, as far as it is about one.
      cluster: ?string,
      tier: ?string,
      job: ?string,
      store: ?string
    )

    # How one channel took a test message.
    type AlertTestResult (
      channel: string,
      # smtp, sendmail, slack, url, command.
      kind: string,
      # Whether it was taken for all who are to get it.
      delivered: bool,
      # The other side's words.
      answer: ?string,
      error: ?ErrorReport,
      durationSeconds: float
    )

    # Where a run is. Totals are estimates until they are known.
    type RunProgress (
      phase: string,
      doneBytes: int,
      totalBytes: ?int
    )

    # One phase of a run.
    type RunPhase (
      name: string,
      durationSeconds: float
    )

    # One execution of a job.
    type RunRecord (
      run: string,
      job: string,
      # physical, wal, prune and others.
      kind: string,
      cluster: ?string,
      # Why it began.
      trigger: (schedule, manual, retry, missed),
      # When it was due or asked for.
      due: string,
      started: string,
      # Absent while it is live.
      finished: ?string,
      # Absent while it is live. incomplete: a required store lacks the work for now.
      outcome: ?(succeeded, incomplete, failed, cancelled, interrupted, skipped),
      progress: ?RunProgress,
      phases: []RunPhase,
      # The backup it made.
      backup: ?string,
      totalBytes: ?int,
      # Bytes of pages its parent did not have, before compression.
      newBytes: ?int,
      storedBytes: ?int,
      warnings: []string,
      error: ?ErrorReport,
      # Of stores beyond this host.
      requests: ?[]StoreRequests,
      # What checks of restored data found.
      checks: ?[]CheckResult,
      # Of a drill.
      drill: ?DrillRecord
    )

    # What one check of a database found.
    type CheckResult (
      name: string,
      value: ?string,
      verdict: (ok, warning, critical),
      message: ?string,
      # What the statement said besides.
      notices: []string,
      # A smaller value than the last time is nothing to speak of.
      mayFall: bool
    )

    # What a drill proved.
    type DrillRecord (
      # Absent where any store was good enough.
      store: ?string,
      target: string,
      targetLSN: ?string,
      replayedLSN: ?string,
      # From the first byte read until the restored server answered queries.
      measuredRTOSeconds: ?float,
      # WAL that was replayed.
      walBytes: ?int,
      # When the newest heartbeat was written that the restored cluster holds.
      heartbeat: ?string
    )

    # What was asked of one store over the network while a run went on.
    type StoreRequests (
      store: string,
      requests: int,
      # Of these, made again after a failure.
      retries: int,
      sentBytes: int,
      receivedBytes: int
    )

    # A job of the configuration.
    type JobSummary (
      name: string,
      kind: string,
      cluster: ?string,
      # Five cron fields; absent for a job that runs all the time.
      schedule: ?string,
      timezone: ?string,
      nextRun: ?string,
      lastRun: ?string,
      lastOutcome: ?(succeeded, incomplete, failed, cancelled, interrupted, skipped),
      lastSuccess: ?string,
      consecutiveFailures: int,
      # The live run.
      running: ?string
    )

    # How far WAL has come in one store.
    type WALStore (
      name: string,
      # Everything before it is durable in the store.
      durableLSN: ?string,
      lagSeconds: ?float
    )

    # How far the WAL of a cluster has come.
    type WALStatus (
      cluster: string,
      systemIdentifier: ?string,
      timeline: ?int,
      # The replication slot.
      slot: string,
      # streaming, connecting, waiting, full, archiving or stopped.
      state: string,
      receivedLSN: ?string,
      # Durable with the daemon, and acknowledged to the server.
      flushedLSN: ?string,
      # The server's own position at its last word.
      serverLSN: ?string,
      lastMessage: ?string,
      stores: []WALStore,
      # Full segments that are not yet in every required store.
      queuedSegments: int,
      # Received in the last seconds.
      bytesPerSecond: ?float,
      # Of a synchronous job: the server's commits wait for it now.
      commitsWait: ?bool,
      # Commits wait, and the daemon is not on the server's host: a lost server takes none along.
      losesNothing: ?bool,
      error: ?ErrorReport
    )

    # One restorable state.
    type Backup (
      id: string,
      cluster: string,
      kind: (physical, logical),
      job: ?string,
      started: string,
      finished: string,
      startLSN: string,
      stopLSN: string,
      timeline: int,
      systemIdentifier: string,
      # Order within the lineage.
      sequence: int,
      # Size of the restored files.
      totalBytes: int,
      # Bytes of pages its parent did not have, before compression.
      newBytes: int,
      # Bytes it added to each store.
      storedBytes: int,
      parent: ?string,
      stores: []string,
      missingStores: []string
    )

    # A span without a gap, each instant of which can be restored.
    type RecoveryWindow (
      from: string,
      to: string,
      fromLSN: string,
      toLSN: string,
      # The timeline at its end.
      timeline: int
    )

    # What one store would restore if the others were lost.
    type StoreWindows (
      store: string,
      windows: []RecoveryWindow
    )

    # One way back to the present, and what is lost on it if the server is lost now.
    type RecoveryRoad (
      # Absent for the daemon's landing directory, on another host than the server.
      store: ?string,
      means: (wal, physical, logical),
      # The newest backup that it can begin with.
      backup: ?string,
      # The newest instant it leads to, by the server's clock.
      to: string,
      # Absent where the clocks disagree.
      lossSeconds: ?float
    )

    # What is promised for a class of data, and what is attained.
    type TierStatus (
      name: string,
      cluster: string,
      # Empty: the whole cluster.
      tables: []string,
      # The recovery point objective.
      rpoSeconds: float,
      # What would be lost if the server were lost now. Absent where nothing can be restored, or nobody knows.
      lossSeconds: ?float,
      rpoState: (met, endangered, missed, unknown),
      # In how many seconds the RPO is missed if things go on as they do.
      breachSeconds: ?float,
      # The most of the last 24 hours.
      worstLossSeconds: ?float,
      # The one that loses least first.
      roads: []RecoveryRoad,
      # The recovery time objective.
      rtoSeconds: float,
      # How long a restore would take today. Absent where none was measured.
      recoverySeconds: ?float,
      # How that was obtained.
      recoveryBasis: string,
      rtoState: (met, endangered, missed, unknown)
    )

    # How well one cluster is protected.
    type ClusterStatus (
      name: string,
      systemIdentifier: ?string,
      # Oldest first.
      windows: []RecoveryWindow,
      stores: []StoreWindows,
      # Ways back to the present, the one that loses least first.
      roads: []RecoveryRoad,
      lastBackup: ?Backup,
      # Absent where no job keeps this cluster's WAL.
      wal: ?WALStatus
    )

    # One store of several, and what it lacks of what the others hold.
    type StoreSummary (
      name: string,
      # required, eventual.
      durability: string,
      location: string,
      # Absent where it cannot be looked at.
      missingObjects: ?int,
      missingBytes: ?int,
      # Since it lacks something, or could not be looked at.
      lagSeconds: ?float,
      error: ?ErrorReport
    )

    # What a job of kind copy has put into its on-copy store.
    type CopySummary (
      store: string,
      cluster: string,
      job: string,
      # The newest backup that was copied.
      backup: ?string,
      # When the copy was complete, or was last found to be.
      copied: ?string
    )

    # Everything the daemon says of itself.
    type DaemonStatus (
      version: string,
      pid: int,
      startedAt: string,
      configurationPath: string,
      # When the configuration in force was read.
      configurationLoadedAt: string,
      clusters: []ClusterStatus,
      # What is promised, and attained.
      tiers: []TierStatus,
      # Of a repository with several.
      stores: []StoreSummary,
      # Of each job of kind copy.
      copies: []CopySummary,
      jobs: []JobSummary,
      # Live runs, oldest first.
      running: []RunRecord,
      # What is wrong at the moment.
      conditions: []Condition
    )

    # Answers at once.
    method Ping() -> (version: string, pid: int, startedAt: string)

    # The state of the daemon, its clusters and its jobs.
    method GetStatus() -> (status: DaemonStatus)

    # The jobs of the configuration in force.
    method ListJobs() -> (jobs: []JobSummary)

    # Starts a run of a job now. Called with 'more' it answers with the record at each change until the run has ended;
    # otherwise once: when the run has ended with 'wait', when it has begun without. A run that ended badly is an
    # answer too: its outcome and error tell. A caller that hangs up does not stop the run.
    method RunJob(job: string, wait: ?bool) -> (record: RunRecord)

    # Stops a live run. Answers when the run was told to.
    method CancelRun(run: string) -> ()

    # The newest runs, live ones included, oldest first; 'limit' is 50 unless given, at most 1000. Called with 'more'
    # and 'follow' it goes on with an answer for each change of a run until the caller hangs up.
    method ListRuns(job: ?string, limit: ?int, follow: ?bool) -> (runs: []RunRecord)

    # Reads the configuration file again. Where it is wrong the old configuration stays in force.
    method Reload() -> (differences: []string)

    # Takes note that missing WAL is known: the conditions that tell of it end, of one cluster or of all. What is missing
    # stays missing and recorded. Answers with the clusters of which there was one.
    method AcknowledgeGaps(cluster: ?string) -> (clusters: []string)

    # Sends a message that says that nothing is wrong through one channel of alerts, or through all, and answers when each
    # has taken it or not.
    method TestAlerts(channel: ?string) -> (results: []AlertTestResult)

    # Takes a file of the server's pg_wal for archiving: PostgreSQL's archive_command. 'path' is absolute. Answers when it
    # is durable; the same file may be pushed again, other content under its name is refused.
    method PushWAL(cluster: string, path: string) -> ()

    # How far the WAL of each cluster has come.
    method GetWALStatus() -> (clusters: []WALStatus)

    # The daemon in numbers, in Prometheus' text format.
    method GetMetrics() -> (text: string)

    # The configuration has no such job.
    error NoSuchJob (summary: string, detail: ?string, hint: ?string)

    # No job of kind wal keeps the WAL of this cluster.
    error NoSuchCluster (summary: string, detail: ?string, hint: ?string)

    # The configuration has no such channel of alerts.
    error NoSuchChannel (summary: string, detail: ?string, hint: ?string)

    # No live run has this id.
    error NoSuchRun (summary: string, detail: ?string, hint: ?string)

    # The repository has no such backup.
    error NoSuchBackup (summary: string, detail: ?string, hint: ?string)

    # The caller may not do this.
    error PermissionDenied (summary: string, detail: ?string, hint: ?string)

    # The configuration file is wrong.
    error ConfigurationInvalid (summary: string, detail: ?string, hint: ?string)

    # The job could not begin, or not be followed.
    error JobFailed (summary: string, detail: ?string, hint: ?string)

    # The job has a live run already.
    error AlreadyRunning (summary: string, detail: ?string, hint: ?string)

    # The daemon is stopping.
    error ShuttingDown (summary: string, detail: ?string, hint: ?string)

    # Too many connections, or bytes that are not Varlink. The connection is closed.
    error Refused (summary: string, detail: ?string, hint: ?string)

    # The daemon could not do it for another reason.
    error OperationFailed (summary: string, detail: ?string, hint: ?string)

    """
}
