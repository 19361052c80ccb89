/// A metric that backupd exports: name, type, labels and what it says. Named by Prometheus' rules: base units, `_total`
/// for counters.
/// - SeeAlso: <https://prometheus.io/docs/practices/naming/>
public struct Metric: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable { case gauge, counter }

  public var name: String
  public var kind: Kind
  /// In the order in which values are given for them.
  public var labels: [String]
  /// One sentence, without line breaks.
  public var help: String

  init(_ name: String, _ kind: Kind = .gauge, _ labels: [String] = [], _ help: String) {
    self.name = "backupd_" + name
    self.kind = kind
    self.labels = labels
    self.help = help
  }
}

extension Metric {
  // The daemon.
  public static let up = Metric("up", "1: the daemon wrote this.")
  public static let build = Metric("build_info", .gauge, ["version"], "1, with the version.")
  public static let time = Metric(
    "metrics_timestamp_seconds", "When these values were taken: of a text file, how old it is.")
  public static let started = Metric("process_start_time_seconds", "When the daemon started.")
  public static let configuration = Metric(
    "configuration_loaded_timestamp_seconds", "When the configuration in force was read.")
  public static let memory = Metric("process_resident_memory_bytes", "Memory that the daemon holds.")
  public static let processorTime = Metric(
    "process_cpu_seconds_total", .counter, [], "Processor time that the daemon has used.")
  public static let descriptors = Metric("process_open_fds", "File descriptors that the daemon has open.")

  // Recoverability.
  public static let age = Metric(
    "recovery_point_age_seconds", .gauge, ["cluster"],
    "What would be lost if the server were lost now; +Inf where nothing can be restored.")
  public static let storeAge = Metric(
    "store_recovery_point_age_seconds", .gauge, ["cluster", "store", "means"],
    "The same for each way back: from one store, by WAL or a base backup alone.")
  public static let rpo = Metric(
    "tier_rpo_seconds", .gauge, ["cluster", "tier"],
    "What a tier would lose if the server were lost now; +Inf where it cannot be restored.")
  public static let rpoObjective = Metric(
    "tier_rpo_objective_seconds", .gauge, ["cluster", "tier"], "The tier's recovery point objective.")
  public static let rpoBreach = Metric(
    "tier_rpo_breach_seconds", .gauge, ["cluster", "tier"],
    "In how many seconds the RPO is missed if things go on as they do; only where that is soon.")
  public static let rto = Metric(
    "tier_rto_seconds", .gauge, ["cluster", "tier"],
    "How long a restore would take today, from the last drills; only where one was measured.")
  public static let rtoObjective = Metric(
    "tier_rto_objective_seconds", .gauge, ["cluster", "tier"], "The tier's recovery time objective.")

  // WAL.
  public static let streaming = Metric(
    "wal_receiving", .gauge, ["cluster"], "1 while WAL comes from the server, by streaming or pushed.")
  public static let durable = Metric(
    "wal_durable_position_bytes", .gauge, ["cluster", "store"], "The LSN before which all WAL is durable in a store.")
  public static let lagSeconds = Metric(
    "wal_store_lag_seconds", .gauge, ["cluster", "store"], "For how long a store has lacked WAL that the daemon holds.")
  public static let lagBytes = Metric(
    "wal_store_lag_bytes", .gauge, ["cluster", "store"], "WAL between a store's and the server's position.")
  public static let queued = Metric(
    "wal_queued_segments", .gauge, ["cluster"], "Full segments that are not in every required store yet.")
  public static let gap = Metric(
    "wal_gap", .gauge, ["cluster"], "1 while missing WAL is neither acknowledged nor made good by a base backup.")

  // Stores.
  public static let storeUp = Metric("store_up", .gauge, ["store"], "1 while a store takes and gives what it is asked.")
  public static let missingObjects = Metric(
    "store_missing_objects", .gauge, ["store"],
    "Objects that other stores hold and this one does not yet, while it can be looked at.")
  public static let missingBytes = Metric(
    "store_missing_bytes", .gauge, ["store"], "Their size.")
  public static let storeLag = Metric(
    "store_lag_seconds", .gauge, ["store"],
    "For how long a store has lacked something, or could not be looked at; 0 where it lacks nothing.")
  public static let requests = Metric(
    "store_requests_total", .counter, ["store"], "Requests to a store beyond this host.")
  public static let retries = Metric(
    "store_retries_total", .counter, ["store"], "Of these, made again after a failure.")
  public static let sent = Metric(
    "store_sent_bytes_total", .counter, ["store"], "Bytes sent to a store beyond this host.")
  public static let received = Metric(
    "store_received_bytes_total", .counter, ["store"], "Bytes received from a store beyond this host.")
  public static let diskFree = Metric(
    "disk_free_bytes", .gauge, ["place", "path"],
    "Bytes that may still be written: of the state directory, and of stores that are directories.")
  public static let diskSize = Metric("disk_size_bytes", .gauge, ["place", "path"], "Size of the file system.")

  // Backups.
  public static let backups = Metric(
    "backups", .gauge, ["cluster", "backup_job", "kind"], "Backups that can be restored.")
  public static let backupTime = Metric(
    "backup_last_timestamp_seconds", .gauge, ["cluster", "backup_job", "kind"], "When the newest backup was complete.")
  public static let backupSize = Metric(
    "backup_last_size_bytes", .gauge, ["cluster", "backup_job", "kind"], "Size of what the newest backup restores.")
  public static let backupStored = Metric(
    "backup_last_stored_bytes", .gauge, ["cluster", "backup_job", "kind"], "What the newest backup added to each store."
  )

  // Jobs.
  public static let runs = Metric(
    "runs_total", .counter, ["backup_job", "kind", "outcome"],
    "Runs that ended since the daemon started, by their outcome.")
  public static let running = Metric(
    "job_running", .gauge, ["cluster", "backup_job", "kind"], "1 while a run goes on.")
  public static let failures = Metric(
    "job_consecutive_failures", .gauge, ["cluster", "backup_job", "kind"], "Runs that failed since the last success.")
  public static let success = Metric(
    "job_last_success_timestamp_seconds", .gauge, ["cluster", "backup_job", "kind"], "When a run last succeeded.")
  public static let duration = Metric(
    "job_last_run_duration_seconds", .gauge, ["cluster", "backup_job", "kind"],
    "How long the last run took that has ended.")
  public static let due = Metric(
    "job_next_run_timestamp_seconds", .gauge, ["cluster", "backup_job", "kind"], "When it is due next.")

  // Conditions.
  public static let conditions = Metric(
    "conditions", .gauge, ["severity"], "What is wrong at the moment, counted.")
  public static let condition = Metric(
    "condition_since_timestamp_seconds", .gauge, ["condition", "severity"], "Since when each of them is raised.")

  /// In the order of the output and of the reference.
  public static let all: [Metric] = [
    up, build, time, started, configuration, memory, processorTime, descriptors, age, storeAge, rpo, rpoObjective,
    rpoBreach, rto, rtoObjective, streaming, durable, lagSeconds, lagBytes, queued, gap, storeUp, missingObjects,
    missingBytes, storeLag, requests, retries, sent, received, diskFree, diskSize, backups, backupTime, backupSize,
    backupStored, runs, running, failures, success, duration, due, conditions, condition,
  ]

  init(_ name: String, _ help: String) { self.init(name, .gauge, [], help) }
}
