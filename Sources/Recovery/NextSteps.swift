internal import BackupModel

/// What the operator does after a restore, in sentences.
struct NextSteps {
  let sentences: [String]

  /// After a restore whose server is not started.
  init(plan: RestorePlan, options: RestoreOptions, extent: RestoreExtent) {
    var sentences: [String] = []
    if !extent.hasPostgresConfiguration {
      sentences.append(Self.configuration(options))
    }
    sentences.append("Start the server with its service, or with \"pg_ctl -D \(options.directory) start\".")
    let end = plan.target.text
    switch plan.action {
    case .promote: sentences.append("It replays WAL up to \(end), then opens for writing on a new timeline.")
    case .pause: sentences.append("It replays WAL up to \(end), then pauses. \(Self.resume)")
    case .shutdown: sentences.append("It replays WAL up to \(end), then shuts down.")
    }
    if options.role == .separate { sentences.append(Self.separate) }
    self.sentences = sentences
  }

  /// After a start.
  init(after outcome: ServerOutcome, options: RestoreOptions) {
    var sentences: [String] = []
    if outcome.state == .paused { sentences.append(Self.resume) }
    if outcome.state != .shutDown {
      sentences.append(
        "The server was started by hand and logs to \"\(outcome.logFile)\"; to hand it to its service, stop it with \"pg_ctl -D \(options.directory) stop\" and start the service."
      )
    }
    if options.role == .separate { sentences.append(Self.separate) }
    self.sentences = sentences
  }

  private static func configuration(_ options: RestoreOptions) -> String {
    if let directory = options.configurationDirectory { return "The configuration files are in \"\(directory)\"." }
    return
      "The data directory has no postgresql.conf; the backup's configuration files are restored by \"--configuration DIRECTORY\"."
  }

  private static let resume =
    "Look at the data; \"SELECT pg_wal_replay_resume()\" ends the pause and promotes the server."
  private static let separate =
    "It archives nothing: archive_command is /bin/false in postgresql.auto.conf. Before it takes the original's place, run \"ALTER SYSTEM RESET\" for archive_command, archive_library and synchronous_standby_names, and take a backup of it."
}
