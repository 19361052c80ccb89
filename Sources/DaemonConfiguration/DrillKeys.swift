import BackupModel

/// Keys of jobs of kind `drill`.
enum DrillKeys {
  static let checks = Key(
    "checks", .absolutePath, .optional,
    "A file of SQL that is run against the restored data: see `docs/operations/drills.md`."
  )
  static let checkTimeout = Key(
    "check-timeout", .duration("1s", "1d"), .standard("5m"), "A statement of `checks` that takes longer fails.")
  static let amcheck = Key(
    "amcheck", .flag, .standard("true"),
    "Whether `pg_amcheck` looks at all tables and indexes. The page checksums of the whole cluster are verified in any case."
  )
  static let pick = Key(
    "pick", .choice() as ValueType<DrillPick>, .standard("newest"),
    "Which backup is restored: the `newest`, or any that is kept (`random`).")
  static let target = Key(
    "target", .choice() as ValueType<DrillTarget>, .standard("latest"),
    "How far WAL is replayed: all of it (`latest`), or to any instant after the backup (`random`).")
  static let store = Key(
    "store", .name() as ValueType<StoreID>, .optional,
    "Restore from this store alone, as if the others were lost. Without it from whatever answers.")
  static let scratch = Key(
    "scratch", .absolutePath, .computed("`drills` in the state directory"),
    "An existing directory with room for the whole cluster, of the daemon's user. The drill works in a directory of its own below it, and removes that."
  )
  static let programs = Key(
    "programs", .absolutePath, .optional,
    "The directory of `postgres` and `pg_amcheck`, of the cluster's major version. Without it, and `programs` of the cluster, `BACKUPD_POSTGRES_BIN_<version>`, the usual places and `PATH` are looked in."
  )
  static let preload = Key(
    "preload", .text, .optional,
    "Libraries that the restored server preloads, as in `shared_preload_libraries`: only those without which WAL cannot be replayed, because they have record types of their own."
  )
  /// A drill that failed is looked at; to repeat hours of work helps seldom.
  static let retries = Key("retries", .count(0...10), .standard("0"), JobKeys.retries.sentence)

  static let scheduled = [
    JobKeys.schedule.declaration, JobKeys.timezone.declaration, JobKeys.jitter.declaration,
    JobKeys.missed.declaration, JobKeys.overlap.declaration, JobKeys.deadline.declaration, retries.declaration,
    JobKeys.rank.declaration,
  ]
  static let all = scheduled + own
  static let own = [
    checks.declaration, checkTimeout.declaration, amcheck.declaration, pick.declaration, target.declaration,
    store.declaration, scratch.declaration, programs.declaration, preload.declaration,
  ]
  static let section = Section(path: "jobs.<job>", sentence: "Keys of jobs of kind `drill`.", keys: all)
}
