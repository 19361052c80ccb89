import BackupModel
import Scheduling

// Every key of the configuration, once. Decoding, checking, `backupctl config explain` and the reference come from here.
// Keys declared `.refused` belong to the grammar and to later versions: naming one is an error, never silently ignored.

enum RootKeys {
  static let section = Section(
    path: "", sentence: "The whole file.",
    keys: ["daemon", "clusters", "repository", "jobs", "tiers", "alerts", "heartbeat", "monitoring", "metrics"].map {
      KeyDeclaration(name: $0, type: "mapping", sentence: "")
    })
}

enum DaemonKeys {
  static let stateDirectory = Key(
    "state-directory", .absolutePath, .standard("/var/lib/backupd"),
    "Where the daemon keeps the state of jobs, WAL on its way to the stores, and page fingerprints.")
  static let socket = Key(
    "socket", .socketPath, .standard("/run/backupd/control.sock"), "The control socket that `backupctl` talks to.")
  static let adminGroup = Key(
    "admin-group", .text, .optional,
    "Members of this group may start and cancel jobs over the control socket; without it only root and the daemon's user."
  )
  static let workers = Key(
    "workers", .count(1...32), .computed("the number of cores, at most 4"),
    "Threads that compress and seal pages. Each further one costs memory for the pages it holds.")
  static let history = Key(
    "history", .duration("1d", "3650d"), .standard("400d"),
    "How long the records of ended runs are kept. They go a month at a time, once its last day is older.")
  static let groups = Key(
    "groups", .section, .optional, "How many jobs of a group run at the same time: see `daemon.groups`.")
  static let section = Section(
    path: "daemon", sentence: "The daemon itself; all optional.",
    keys: [
      stateDirectory.declaration, socket.declaration, adminGroup.declaration, workers.declaration, history.declaration,
      groups.declaration,
    ])
}

enum GroupKeys {
  static let backup = Key(
    "backup", .count(1...16), .standard("1"), "Backups that run at the same time; those of one cluster never do.")
  static let validation = Key(
    "validation", .count(1...16), .standard("1"), "Drills that run at the same time.")
  static let monitoring = Key(
    "monitoring", .count(1...16), .standard("2"), "Checks that run at the same time.")
  static let section = Section(
    path: "daemon.groups", sentence: "The width of each group of jobs.",
    keys: [backup.declaration, validation.declaration, monitoring.declaration, .refused("wal")])
}

enum ClusterKeys {
  static let connection = Key(
    "connection", .connection, .required,
    "How to reach the server, such as `host=/var/run/postgresql user=postgres dbname=postgres`. The role needs REPLICATION."
  )
  static let dataDirectory = Key(
    "data-directory", .absolutePath, .optional,
    "The server's data directory where it is on this host, of `standby` where that is named: backups read the files in place then. No store may lie inside it."
  )
  static let standby = Key(
    "standby", .connection, .optional,
    "How to reach a standby that physical backups are taken from, with the same password; WAL still comes from `connection`. Name the standby as `connection` instead to take both from it."
  )
  static let password = Key(
    "password", .secret, .optional,
    "Where the role's password is kept: `{file: PATH}`, `{credential: NAME}` or `{environment: NAME}`. Without it libpq looks into its password file."
  )
  static let programs = Key(
    "programs", .absolutePath, .computed("where the distribution of its version puts them, then PATH"),
    "The directory of the programs of PostgreSQL that fit the server: `pg_dump` and `pg_dumpall`.")
  static let section = Section(
    path: "clusters.<cluster>", sentence: "A PostgreSQL cluster, under a name of your choice. At least one.",
    keys: [
      connection.declaration, standby.declaration, dataDirectory.declaration, password.declaration,
      programs.declaration,
    ])
}

enum RepositoryKeys {
  static let encryption = Key(
    "encryption", .encryption, .required,
    "Who can open the repository: its data key is wrapped for a key file, a key of AWS KMS, or each entry of a list, of which the first that can be reached opens it. `none` stores the data key beside the data and keeps nothing secret."
  )
  static let stores = Key("stores", .section, .required, "The stores, each under a name of your choice. At least one.")
  static let section = Section(
    path: "repository", sentence: "Where backups and WAL are kept.", keys: [encryption.declaration, stores.declaration])
}

enum EncryptionKeys {
  static let keyFile = Key("key-file", .absolutePath, .optional, "A file only the daemon's user can read.")
  static let awsKMS = Key(
    "aws-kms", .kmsKey, .optional,
    "A key of AWS KMS that wraps the data key: `alias/NAME`, its id or its ARN. `repository create` needs kms:Encrypt; each start of the daemon, and each command that reads the repository, kms:Decrypt."
  )
  static let region = Key("region", .region, .computed("the region of the ARN"), "Where the key of AWS KMS is.")
  static let endpoint = Key(
    "endpoint", .kmsEndpoint, .computed("Amazon's of the region"),
    "Where AWS KMS is reached, such as a VPC endpoint: `https://HOST`. `http` only on this host.")
  static let credentials = Key(
    "credentials", .awsKeys, .computed("the environment, the shared credentials file, or the host's role"),
    "What signs requests to AWS KMS.")
  static let section = Section(
    path: "repository.encryption",
    sentence:
      "A recipient of the data key: `key-file`, or `aws-kms` and what belongs to it. In a list each entry is one.",
    keys: [
      keyFile.declaration, awsKMS.declaration, region.declaration, endpoint.declaration, credentials.declaration,
    ] + ["passphrase", "gcp-kms"].map { .refused($0) })
}

enum StoreKeys {
  static let path = Key(
    "path", .absolutePath, .optional, "The directory that holds this copy of the repository. Or `s3`, `gcs` or `sftp`.")
  static let s3 = Key(
    "s3", .section, .optional,
    "The bucket that holds it, of Amazon S3 or of a server with its protocol: see `repository.stores.<store>.s3`.")
  static let gcs = Key(
    "gcs", .section, .optional,
    "The bucket of Google Cloud Storage that holds it: see `repository.stores.<store>.gcs`.")
  static let sftp = Key(
    "sftp", .section, .optional,
    "The directory of another host that holds it: see `repository.stores.<store>.sftp`. Whether what is there outlives a power loss is that host's affair: keep another store beside it."
  )
  static let durability = Key(
    "durability", .choice() as ValueType<StoreDurability>, .standard("required"),
    "`required`: a backup is not done before it is in this store. `eventual`: it follows as soon as it can, and how far it lags is told. `on-copy`: it holds what jobs of kind `copy` put there, and is read by `restore --store` alone."
  )
  static let keep = Key(
    "keep", .retention, .optional,
    "How long copies stay in this store, in the words of a job's `keep`. Without it they stay as long as a job promises; some store must keep every promise."
  )
  static let bandwidth = Key(
    "bandwidth", .rate("32KiB", "100GiB"), .optional,
    "The most that goes to a store beyond this host and comes from it per second: `20MiB/s`.")
  static let timeout = Key(
    "timeout", .duration("1s", "10m"), .standard("30s"),
    "A transfer with a store beyond this host that moves less than 4 KiB a second for so long has failed, and is made again."
  )
  static let lock = Key(
    "lock", .objectLock, .optional,
    "Of a bucket of S3 that can: what restores need is locked when it is put, and for longer when a new backup leans on it: `{mode: compliance, for: 30d}`. Nobody can delete it before, with whatever keys; `governance` leaves that to those with a right of its own."
  )
  static let section = Section(
    path: "repository.stores.<store>", sentence: "A place that holds a complete copy of the repository.",
    keys: [
      path.declaration, s3.declaration, gcs.declaration, sftp.declaration, durability.declaration, keep.declaration,
      bandwidth.declaration, timeout.declaration, lock.declaration,
    ] + ["azure"].map { .refused($0) })
}

enum S3Keys {
  static let bucket = Key("bucket", .text, .required, "The bucket. It must exist.")
  static let region = Key(
    "region", .text, .required, "The bucket's region; many servers that are not Amazon's take any.")
  static let endpoint = Key(
    "endpoint", .endpoint, .optional, "`https://host:port` of a server that is not Amazon's.")
  static let pathStyle = Key(
    "path-style", .flag, .computed("`true` where `endpoint` is named"),
    "Whether the bucket is in the path and not in the host's name.")
  static let prefix = Key(
    "prefix", .objectPrefix, .optional, "What all names in the bucket begin with, such as `backups/oauth`.")
  static let storageClass = Key(
    "storage-class", .storageClass, .optional,
    "The class of packs, such as `STANDARD_IA`; `{packs: GLACIER_IR, other: STANDARD_IA}` names that of everything else too, which must be readable at once. Packs may be `GLACIER` or `DEEP_ARCHIVE` in a store of durability `on-copy`."
  )
  static let credentials = Key(
    "credentials", .awsKeys, .optional,
    "Where the keys are kept: `{access-key: {credential: NAME}, secret-key: {credential: NAME}}`, and `session-token`. Without it they come from the environment, from the shared credentials file, or from the instance's role, in this order."
  )
  static let pruneCredentials = Key(
    "prune-credentials", .awsKeys, .optional,
    "Where other keys are kept that delete, in the form of `credentials`: nothing else is done with them. With keys in `credentials` that cannot delete they belong on a host that only prunes; without them what prune would remove waits."
  )
  static let certificateFile = Key(
    "ca-file", .absolutePath, .optional, "Certificates in PEM to trust instead of the system's.")
  static let section = Section(
    path: "repository.stores.<store>.s3", sentence: "A bucket.",
    keys: [
      bucket.declaration, region.declaration, endpoint.declaration, pathStyle.declaration, prefix.declaration,
      storageClass.declaration, credentials.declaration, pruneCredentials.declaration, certificateFile.declaration,
    ])
}

enum GCSKeys {
  static let bucket = Key("bucket", .text, .required, "The bucket. It must exist.")
  static let endpoint = Key(
    "endpoint", .endpoint, .optional, "`https://host:port` of a server that is not Google's.")
  static let prefix = Key(
    "prefix", .objectPrefix, .optional, "What all names in the bucket begin with, such as `backups/oauth`.")
  static let storageClass = Key(
    "storage-class", .storageClass, .optional,
    "The class of packs, such as `NEARLINE`; `{packs: COLDLINE, other: STANDARD}` names that of everything else too.")
  static let credentials = Key(
    "credentials", .googleCredentials, .optional,
    "Where the key file of a service account is kept, such as `{credential: NAME}`, or `none` for an emulator. Without it `GOOGLE_APPLICATION_CREDENTIALS` counts, then the machine's own account."
  )
  static let certificateFile = Key(
    "ca-file", .absolutePath, .optional, "Certificates in PEM to trust instead of the system's.")
  static let section = Section(
    path: "repository.stores.<store>.gcs", sentence: "A bucket of Google Cloud Storage.",
    keys: [
      bucket.declaration, endpoint.declaration, prefix.declaration, storageClass.declaration, credentials.declaration,
      certificateFile.declaration,
    ])
}

enum SFTPKeys {
  static let host = Key("host", .text, .required, "The host.")
  static let port = Key("port", .count(1...65535), .standard("22"), "Its port.")
  static let user = Key("user", .text, .required, "Who logs in.")
  static let path = Key("path", .absolutePath, .required, "The directory there.")
  static let knownHosts = Key(
    "known-hosts", .absolutePath, .required,
    "A file as `ssh-keyscan` writes it. A host whose key is not in it is refused.")
  static let keyFile = Key(
    "key-file", .absolutePath, .optional, "The private key. Without it the ssh agent is asked.")
  static let passphrase = Key("passphrase", .secret, .optional, "Where the private key's passphrase is kept.")
  static let section = Section(
    path: "repository.stores.<store>.sftp", sentence: "A directory of a host that is reached by SFTP.",
    keys: [
      host.declaration, port.declaration, user.declaration, path.declaration, knownHosts.declaration,
      keyFile.declaration, passphrase.declaration,
    ])
}

enum StorageClassKeys {
  static let packs = Key("packs", .storageClassName, .optional, "The class of packs.")
  static let other = Key("other", .storageClassName, .optional, "The class of everything else.")
  static let keys = [packs.declaration, other.declaration]
}

enum ObjectLockKeys {
  static let mode = Key(
    "mode", .choice() as ValueType<ObjectLockMode>, .required,
    "`governance`: who has the right to may unlock. `compliance`: nobody may.")
  static let period = Key("for", .duration("1s", "36500d"), .required, "How long.")
  static let keys = [mode.declaration, period.declaration]
}

enum AWSKeyKeys {
  static let accessKey = Key("access-key", .secret, .required, "The access key's id.")
  static let secretKey = Key("secret-key", .secret, .required, "The secret key.")
  static let sessionToken = Key("session-token", .secret, .optional, "Of keys that end.")
  static let keys = [accessKey.declaration, secretKey.declaration, sessionToken.declaration]
}

/// The kinds of jobs of this version.
enum JobKindName: String, Sendable, CaseIterable { case physical, logical, wal, copy, drill, check }

enum JobKeys {
  static let kind = Key(
    "kind", .choice() as ValueType<JobKindName>, .required,
    "`physical`: a backup of the whole cluster. `logical`: a dump of one database or of some of its tables. `wal`: streams WAL for as long as the daemon runs. `copy`: copies the newest physical backup to a store of durability `on-copy`. `drill`: restores a backup as proof. `check`: asks the server whether it answers, and sees what its newest dump brings back."
  )
  static let cluster = Key("cluster", .name() as ValueType<ClusterID>, .required, "One of `clusters`.")
  static let common = [kind.declaration, cluster.declaration]

  static let schedule = Key(
    "schedule", .schedule, .optional, "When it runs, in quotes. Without it the job runs only by `backupctl run`.")
  static let timezone = Key(
    "timezone", .timeZone, .computed("the host's time zone"), "The zone of the schedule, such as `Europe/Berlin`.")
  static let missed = Key(
    "missed", .choice() as ValueType<MissedRuns>, .standard("once"),
    "What happens when runs were due while the daemon was down, the host slept or its clock was set forward: `once` runs once for all of them, `skip` waits for the next."
  )
  static let deadline = Key(
    "deadline", .duration("1m", "30d"), .standard("24h"), "A run that takes longer is cancelled and counts as failed.")
  static let jitter = Key(
    "jitter", .duration("0s", "12h"), .standard("0s"),
    "Runs begin up to so much after their time, so that many hosts do not begin at once; how much is the same each time for the same job and time. Keep it shorter than the time between two runs."
  )
  static let overlap = Key(
    "overlap", .choice() as ValueType<OverlapPolicy>, .standard("queue"),
    "What happens when it is due while its last run goes on: `queue` runs it after that one, `skip` does not run it. A backup that began after a waiting run was due is taken over by it."
  )
  static let rank = Key(
    "rank", .count(0...99), .standard("50"), "Of runs that wait for each other, those of the lowest rank go first.")
  static let retries = Key(
    "retries", .count(0...10), .standard("2"), "Further attempts after a failed one, with growing pauses.")
  static let keep = Key(
    "keep", .retention, .optional,
    "How long its backups are promised to stay: a span such as `30d`, or `{count: 7}`; both in one as `{span: 30d, count: 7}` keeps what either keeps. A span never leaves fewer than two, or than `at-least`: `{span: 30d, at-least: 5}`. `{monthly: 24}` keeps the newest of each of the latest 24 months that have one; `hourly`, `daily`, `weekly` and `yearly` likewise, by UTC. Without it, for ever."
  )
  static let checkpoint = Key(
    "checkpoint", .choice() as ValueType<CheckpointMode>, .standard("fast"),
    "`fast` begins at once; `spread` waits for a checkpoint that does not burden the server.")
  static let source = Key(
    "source", .choice() as ValueType<BackupSource>, .standard("auto"),
    "Where the files come from: `stream` over the replication protocol; `direct` read in place, which is faster and needs the cluster's `data-directory` on this host and the right to read it; `auto` reads in place where it can."
  )
  static let rate = Key(
    "rate", .rate("32KiB", "1GiB"), .optional,
    "The most a run reads per second: `200MiB/s`; `200MiB` means the same.")
  static let full = Key(
    "full", .flag, .standard("false"), "Store every page anew instead of only the changed ones.")
  static let compression = Key(
    "compression", .count(1...19), .standard("1"),
    "zstd's level. Higher ones take much longer and save little: pages are compressed in pieces of 256 KiB.")
  static let priority = Key(
    "priority", .choice() as ValueType<RunPriority>, .standard("normal"),
    "`idle`: disks and processors serve everything else first.")
  static let scheduled = [
    schedule.declaration, timezone.declaration, jitter.declaration, missed.declaration, overlap.declaration,
    deadline.declaration, retries.declaration, rank.declaration,
  ]
  static let physical =
    scheduled + [
      keep.declaration, checkpoint.declaration, source.declaration, rate.declaration, full.declaration,
      compression.declaration, priority.declaration,
    ]
  static let destination = Key(
    "to", .name() as ValueType<StoreID>, .required,
    "The store, of durability `on-copy`, that gets the newest physical backup with all it needs to be restored alone.")
  static let copyKeep = Key(
    "keep", .retention, .optional,
    "How long its copies stay in that store, such as `{monthly: 24}`, in the words of a physical job's `keep`. Without it, for ever."
  )
  static let copy = [destination.declaration] + scheduled + [copyKeep.declaration]
  static let physicalLater = ["stores"].map { KeyDeclaration.refused($0) }

  static let database = Key(
    "database", .text, .computed("that of the cluster's `connection`"), "The database that is dumped.")
  static let tables = Key(
    "tables", .texts, .optional,
    "Only these tables, as `pg_dump --table` takes them: `[users, auth.*]`. Without it, or `schemas`, the whole database is dumped, and with it the cluster's roles and tablespaces."
  )
  static let excludeTables = Key(
    "exclude-tables", .texts, .optional, "All but these tables, as `pg_dump --exclude-table` takes them.")
  static let schemas = Key("schemas", .texts, .optional, "Only these schemas, as `pg_dump --schema` takes them.")
  static let dataOnly = Key("data-only", .flag, .standard("false"), "Only the rows.")
  static let schemaOnly = Key("schema-only", .flag, .standard("false"), "Only the definitions.")
  static let inserts = Key(
    "inserts", .flag, .standard("false"),
    "Rows as INSERT commands, which other programs can read and which are slow to load.")
  static let serializableDeferrable = Key(
    "serializable-deferrable", .flag, .standard("false"),
    "Wait for a moment whose state no serializable transaction could contradict. Not from a standby.")
  static let lockTimeout = Key(
    "lock-timeout", .duration("1s", "1d"), .optional,
    "How long a table may be locked by others before the run fails. Without it the run waits until its deadline, or with `parallel` a minute."
  )
  static let parallel = Key(
    "parallel", .count(1...16), .standard("1"),
    "How many `pg_dump`s read at the same time, all on one snapshot: the rows of the largest tables go to streams of their own, each table whole. Takes so many connections and one more. With `data-only`, tables that foreign keys tie together stay in one stream. Such a dump is loaded stream by stream, not in one transaction."
  )
  static let logicalFull = Key(
    "full", .flag, .standard("false"), "Store the whole dump anew instead of only what changed.")
  static let logicalCompression = Key(
    "compression", .count(1...19), .standard("1"),
    "zstd's level. Higher ones take longer; pieces are compressed together up to 256 KiB.")
  static let logical =
    scheduled + [
      keep.declaration, database.declaration, tables.declaration, excludeTables.declaration, schemas.declaration,
      dataOnly.declaration, schemaOnly.declaration, inserts.declaration, serializableDeferrable.declaration,
      lockTimeout.declaration, parallel.declaration, logicalFull.declaration, logicalCompression.declaration,
    ]
  static let logicalLater = ["stores"].map { KeyDeclaration.refused($0) }

  static let slot = Key(
    "slot", .slotName, .computed("`backupd_` and the cluster's name, `-` written `_`"),
    "The physical replication slot that holds WAL until it is durable here. Made where it is missing.")
  static let recoveryWindow = Key(
    "recovery-window", .duration("1h", "3650d"), .optional,
    "Any instant in this span up to now is promised to stay reachable.")
  static let partialInterval = Key(
    "partial-interval", .duration("1s", "1h"), .standard("10s"),
    "How often the segment being written is shipped to the stores.")
  static let streaming = Key(
    "streaming", .flag, .standard("true"),
    "Whether WAL is streamed from the server. `false`: the server's `archive_command` pushes it, segment by segment, and what it has not completed is lost with it."
  )
  static let acknowledge = Key(
    "acknowledge", .choice() as ValueType<PushAcknowledgement>, .standard("landing"),
    "When a segment pushed by `archive_command` counts as archived: durable on this host (`landing`), or in every store (`stores`)."
  )
  static let onFull = Key(
    "on-full", .choice() as ValueType<FullDiskPolicy>, .standard("wait"),
    "What happens when the landing directory's disk is nearly full and the server's, of which `data-directory` must be known, is too: `wait` for room, or `drop-slot`, which saves the server and loses WAL. A gap is recorded then, and a base backup taken when there is room."
  )
  static let synchronous = Key(
    "synchronous", .flag, .standard("false"),
    "Whether commits wait for this job: name the slot in the server's `synchronous_standby_names`. The landing directory's disk is probed at the start; one that forgets what it was told to keep is refused."
  )
  static let heartbeat = Key(
    "heartbeat", .flag, .standard("false"),
    "Whether the daemon writes a row to the table `backupd.heartbeat` in the connection's database every 10 s, so that a drill can prove what was written after a backup. The daemon makes the table; its role then needs CREATE on the database, once."
  )
  static let wal = [
    slot.declaration, recoveryWindow.declaration, partialInterval.declaration, streaming.declaration,
    acknowledge.declaration, onFull.declaration, synchronous.declaration, heartbeat.declaration,
  ]
  static let walLater = ["landing-directory"].map { KeyDeclaration.refused($0) }

  static let section = Section(
    path: "jobs.<job>", sentence: "A job, under a name of your choice.", keys: common)
  static let physicalSection = Section(
    path: "jobs.<job>", sentence: "Keys of jobs of kind `physical`.", keys: physical)
  static let copySection = Section(path: "jobs.<job>", sentence: "Keys of jobs of kind `copy`.", keys: copy)
  static let logicalSection = Section(
    path: "jobs.<job>",
    sentence:
      "Keys of jobs of kind `logical`, which need `pg_dump` of the server's major version on this host.", keys: logical)
  static let walSection = Section(path: "jobs.<job>", sentence: "Keys of jobs of kind `wal`.", keys: wal)
}

enum RetentionKeys {
  static let span = Key("span", .duration("1s", "36500d"), .optional, "Keep what is younger than this.")
  static let count = Key("count", .count(1...100_000), .optional, "Keep the newest so many.")
  static let last = Key("last", .count(1...100_000), .optional, "Another word for `count`.")
  static let atLeast = Key(
    "at-least", .count(1...100_000), .standard("2"), "Beside a span: the newest so many stay, however old they are.")
  static let periods = RetentionPeriod.allCases.map { period in
    (
      period,
      Key(
        period.rawValue, .count(1...100_000), .optional, "Keep the newest of each of the latest so many such periods.")
    )
  }
  static let keys =
    [span.declaration, count.declaration, last.declaration, atLeast.declaration] + periods.map(\.1.declaration)
}

enum SecretKeys {
  static let file = Key("file", .absolutePath, .optional, "A file that holds it.")
  static let credential = Key("credential", .text, .optional, "The name of a credential of the service manager.")
  static let environment = Key("environment", .text, .optional, "The name of an environment variable.")
  static let keys = [file.declaration, credential.declaration, environment.declaration]
}
