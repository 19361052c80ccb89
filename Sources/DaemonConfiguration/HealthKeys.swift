import BackupModel

/// Keys of jobs of kind `check`.
enum HealthKeys {
  static let restore = Key(
    "restore", .flag, .standard("true"),
    "Whether the newest dump is restored into a scratch database, which is always dropped. With `false` the checks are run on the cluster's own database."
  )
  static let dumps = Key(
    "dumps", .name() as ValueType<JobID>, .optional,
    "The job of kind `logical` whose newest dump is restored. Without it the newest of any that holds definitions as well as rows."
  )
  static let checks = Key(
    "checks", .absolutePath, .optional,
    "A file of SQL that is run against the restored data: see `docs/operations/drills.md`.")
  static let server = Key(
    "server", .connection, .computed("the cluster's `connection`"),
    "How to reach the server that gets the scratch database. The role needs CREATEDB, and what the dump's extensions need."
  )
  static let serverPassword = Key(
    "server-password", .secret, .optional, "Where the password of the role of `server` is kept.")
  static let sizeLimit = Key(
    "size-limit", .size("1MiB", "64TiB"), .optional,
    "A dump larger than this is not restored, and the check fails. On a server of this host the free space is looked at in any case."
  )
  static let own = [
    restore.declaration, dumps.declaration, checks.declaration, DrillKeys.checkTimeout.declaration,
    server.declaration, serverPassword.declaration, sizeLimit.declaration,
  ]
  static let all = DrillKeys.scheduled + own
  static let section = Section(
    path: "jobs.<job>",
    sentence:
      "Keys of jobs of kind `check`, which ask the server whether it answers, and see what the newest dump brings back.",
    keys: all)
}
