import BackupModel
import Testing

@testable import DaemonConfiguration

/// The parts of a good configuration, of which a test replaces what it is about.
enum Sample {
  static func text(
    daemon: String = "", clusters: String = "  oauth: {connection: host=/run/postgresql}\n",
    encryption: String = "none", stores: String = "    local: {path: /backup}\n", jobs: String = ""
  ) -> String {
    daemon + "clusters:\n" + clusters + "repository:\n  encryption: \(encryption)\n  stores:\n" + stores
      + (jobs.isEmpty ? "" : "jobs:\n" + jobs)
  }

  static func job(_ keys: String) -> String { text(jobs: "  j: {kind: physical, cluster: oauth, \(keys)}\n") }
  static func wal(_ keys: String) -> String { text(jobs: "  w: {kind: wal, cluster: oauth, \(keys)}\n") }

  static func parse(_ text: String) throws -> Configuration { try Configuration.parse(text, path: "backupd.yaml") }

  /// Every problem as the operator reads it; empty for a good text.
  static func problems(_ text: String) -> [String] {
    do throws(ConfigurationError) {
      _ = try Configuration.parse(text, path: "f")
      return []
    } catch {
      guard case .invalid(_, let problems) = error else { return ["\(error)"] }
      return problems.map { $0.description(in: "f") }
    }
  }
}

@Suite("A configuration") struct ConfigurationTests {
  @Test("takes every value from the file")
  func full() throws {
    let text = """
      daemon:
        {state-directory: /srv/state//, socket: /run/b.sock, admin-group: dba, workers: 3, history: 90d, groups: {backup: 2}}
      clusters:
        my-db:
          connection: host=db user=backup dbname=postgres
          data-directory: /var/lib/postgresql/15/main
          password: {credential: db-password}
      repository:
        encryption: {key-file: /etc/backupd/key}
        stores:
          local: {path: /backup/./local/, durability: required}
          other: {path: /mnt/other}
      jobs:
        wal: {kind: wal, cluster: my-db, slot: mine, recovery-window: 7d, partial-interval: 2s, synchronous: false, streaming: false, acknowledge: stores, on-full: drop-slot}
        nightly:
          kind: physical
          cluster: my-db
          schedule: "0 2 * * mon-fri"
          timezone: Europe/Berlin
          missed: skip
          deadline: 6h
          retries: 0
          keep: {span: 30d, count: 7}
          checkpoint: spread
          source: stream
          rate: 100MB/s
          full: true
      """
    let configuration = try Sample.parse(text)
    #expect(
      configuration.daemon
        == DaemonSettings(
          stateDirectory: "/srv/state", socket: "/run/b.sock", adminGroup: "dba", workers: 3,
          history: .seconds(90 * 86400), widths: GroupWidths(backup: 2, validation: 1, monitoring: 2)))
    let cluster = try #require(configuration.clusters.first)
    #expect(cluster.id.rawValue == "my-db" && cluster.dataDirectory == "/var/lib/postgresql/15/main")
    #expect(cluster.password == .credential("db-password"))
    #expect(configuration.repository.encryption == .keyFile("/etc/backupd/key"))
    #expect(configuration.repository.stores.map(\.path) == ["/backup/local", "/mnt/other"])
    guard case .wal(let wal) = configuration.jobs[0].kind, case .physical(let nightly) = configuration.jobs[1].kind
    else {
      Issue.record("kinds in another order")
      return
    }
    #expect(
      wal
        == WALSettings(
          slot: "mine", recoveryWindow: .seconds(604_800), partialInterval: .seconds(2), streaming: false,
          acknowledge: .stores, onFull: .dropSlot, synchronous: false, heartbeat: false))
    #expect(nightly.runs.schedule?.text == "0 2 * * mon-fri" && nightly.runs.timeZone.name == "Europe/Berlin")
    #expect(nightly.runs.missed == .skip && nightly.runs.deadline == .seconds(21600) && nightly.runs.retries == 0)
    #expect(nightly.keep == RetentionPolicy(spanSeconds: 2_592_000, count: 7))
    #expect(nightly.checkpoint == .spread && nightly.source == .stream && nightly.full)
    #expect(nightly.rate == ByteCount(100_000_000))
  }

  @Test("has defaults for whatever may be left out")
  func defaults() throws {
    let text = Sample.text(
      clusters: "  my-db: {connection: host=db}\n",
      jobs: "  w: {kind: wal, cluster: my-db}\n  p: {kind: physical, cluster: my-db}\n")
    let configuration = try Sample.parse(text)
    #expect(configuration.daemon.stateDirectory == "/var/lib/backupd")
    #expect(configuration.daemon.socket == Configuration.standardSocket)
    #expect((1...4).contains(configuration.daemon.workers) && configuration.daemon.widths.backup == 1)
    #expect(configuration.daemon.history == .seconds(400 * 86400))
    guard case .wal(let wal) = configuration.jobs[0].kind, case .physical(let job) = configuration.jobs[1].kind else {
      Issue.record("kinds in another order")
      return
    }
    #expect(
      wal
        == WALSettings(
          slot: "backupd_my_db", recoveryWindow: nil, partialInterval: .seconds(10), streaming: true,
          acknowledge: .landing, onFull: .wait, synchronous: false, heartbeat: false))
    #expect(
      job.runs.schedule == nil && job.keep == nil && job.runs.deadline == .seconds(86400) && job.rate == nil
        && !job.full)
    #expect(job.runs.retries == 2 && job.runs.missed == .once && job.runs.overlap == .queue && job.runs.rank == 50)
    #expect(job.checkpoint == .fast && job.source == .auto)
  }

  @Test(
    "understands what people write",
    arguments: [
      Sample.text(), Sample.text(daemon: "daemon:\n"), Sample.text(jobs: "  # none yet\n"),
      Sample.text(encryption: "{key-file: /etc/key}"), Sample.job("keep: 30d"), Sample.job("keep: {last: 3}"),
      Sample.job("schedule: \"@daily\", timezone: UTC"), Sample.job("schedule: 0 2 * * *"),
      Sample.text(clusters: "  a: {connection: \"postgresql://u@h:5432/db?sslmode=require\"}\n"),
      Sample.text(clusters: "  a: {connection: 'host=h passfile=/etc/pgpass'}\n"),
      Sample.text(clusters: "  a: {connection: host=h, password: {file: /etc/pw}}\n"),
      "---\n" + Sample.text() + "...\n",
      Sample.text(clusters: "  a: &same {connection: host=h}\n  b: *same\n"), "\u{FEFF}" + Sample.text(),
    ])
  func good(text: String) { #expect(Sample.problems(text) == []) }

  @Test(
    "is refused with the place and what to write instead",
    arguments: [
      (Sample.text(daemon: "deamon: {}\n"), ["f:1:1: deamon: unknown key; did you mean \"daemon\"?"]),
      (Sample.text(daemon: "daemon: {workers: 0}\n"), ["f:1:19: daemon.workers: 0 is not between 1 and 32"]),
      (Sample.text(daemon: "daemon: {workers: two}\n"), ["f:1:19: daemon.workers: \"two\" is not a whole number"]),
      (Sample.text(daemon: "daemon: {workers: \"2\"}\n"), ["f:1:19: daemon.workers: \"2\" is not a whole number"]),
      (Sample.text(daemon: "daemon: {workers: [2]}\n"), ["f:1:19: daemon.workers: must be a whole number, not a list"]),
      (Sample.text(daemon: "daemon: {workers: }\n"), ["f:1:19: daemon.workers: must be a whole number, not nothing"]),
      (Sample.text(daemon: "daemon: 5\n"), ["f:1:9: daemon: must be a mapping of keys to values, not a single value"]),
      (
        Sample.text(daemon: "daemon: {state-directory: var/lib}\n"),
        ["f:1:27: daemon.state-directory: \"var/lib\" is not an absolute path; write it from \"/\" on"]
      ),
      (
        Sample.text(daemon: "daemon: {groups: {wal: 2}}\n"),
        ["f:1:19: daemon.groups.wal: is not supported by this version"]
      ),
      ("clusters: {a: {connection: x=y}}\n", ["f:1:1: the key \"repository\" is missing"]),
      ("- a\n", ["f:1:1: must be a mapping of keys to values, not a list"]), ("", ["f: is empty"]),
      ("# only this\n", ["f: is empty"]),
      (
        Sample.text(clusters: "  Oauth: {connection: host=h}\n"),
        [
          "f:2:3: clusters.Oauth: is not a valid cluster name; expected 1 to 63 lower-case letters, digits, \"-\" and "
            + "\"_\", beginning with a letter or digit"
        ]
      ),
      (Sample.text(clusters: "  a: {data-directory: /d}\n"), ["f:2:6: clusters.a: the key \"connection\" is missing"]),
      (
        Sample.text(clusters: "  a: {connection: host=h, password: secret}\n"),
        [
          "f:2:37: clusters.a.password: a secret is never written here; write {file: PATH}, {credential: NAME} or "
            + "{environment: NAME}"
        ]
      ),
      (
        Sample.text(clusters: "  a: {connection: host=h, password: {file: /a, environment: B}}\n"),
        ["f:2:37: clusters.a.password: must name exactly one of file, credential and environment"]
      ),
      (
        Sample.text(encryption: "aes"),
        [
          "f:4:15: repository.encryption: must be none, {key-file: PATH}, {aws-kms: KEY, region: REGION} or a list of these"
        ]
      ),
      (
        Sample.text(encryption: "{passphrase: {file: /a}}"),
        [
          "f:4:16: repository.encryption.passphrase: is not supported by this version"
        ]
      ),
      (
        Sample.text(stores: "    cloud: {s3: {bucket: b}}\n"),
        ["f:6:17: repository.stores.cloud.s3: the key \"region\" is missing"]
      ),
      (
        Sample.text(stores: "    a: {path: /a, durability: eventual}\n"),
        [
          "f:6:15: repository.stores.a.path: is not required, and no other store is; a backup must be in some store before it counts"
        ]
      ),
      (
        Sample.text(stores: "    a: {path: /a, keep: 3d}\n"),
        [
          "f:6:15: repository.stores.a.path: has a keep of its own, and no other store keeps what the jobs promise; leave out the keep of one store"
        ]
      ),
      (
        Sample.text(stores: "    a: {path: /a, lock: {mode: compliance, for: 30d}}\n"),
        ["f:6:25: repository.stores.a.lock: goes with s3: only a bucket of S3 locks objects"]
      ),
      (
        Sample.text(stores: "    a: {s3: {bucket: b, region: r}, lock: {mode: strict}}\n"),
        [
          "f:6:43: repository.stores.a.lock: the key \"for\" is missing",
          "f:6:50: repository.stores.a.lock.mode: \"strict\" is not one of governance, compliance",
        ]
      ),
      (
        Sample.text(stores: "    a: {azure: {container: c}}\n"),
        ["f:6:9: repository.stores.a.azure: is not supported by this version"]
      ),
      (
        Sample.text(stores: "    a: {s3: {bucket: b, region: r, prefix: x}}\n    b: {s3: {bucket: b, region: r}}\n"),
        ["f:7:13: repository.stores.b.s3: shares the place of store \"a\", s3://b/x: two copies need two places"]
      ),
      (
        Sample.text(stores: "    a: {path: /a, s3: {bucket: b, region: r}}\n"),
        ["f:6:8: repository.stores.a: must name exactly one of path, s3, gcs and sftp"]
      ),
      (
        Sample.text(stores: "    a: {s3: {bucket: b, region: r, endpoint: \"ftp://h/x\"}}\n"),
        [
          "f:6:46: repository.stores.a.s3.endpoint: \"ftp://h/x\" is not an endpoint; write https://host or https://host:port"
        ]
      ),
      (
        Sample.text(stores: "    a: {path: /a}\n    b: {path: /a/}\n"),
        ["f:7:15: repository.stores.b.path: is the path of store \"a\" as well: two copies need two places"]
      ),
      (
        Sample.text(stores: "    a: {path: /a}\n    b: {path: /a/b}\n"),
        ["f:7:15: repository.stores.b.path: lies inside the path of store \"a\", \"/a\""]
      ),
      (
        Sample.text(stores: "    a: {path: /a/b}\n    b: {path: /a}\n"),
        ["f:7:15: repository.stores.b.path: contains the path of store \"a\", \"/a/b\""]
      ),
      (Sample.text(stores: "    a: {path: /ab}\n    b: {path: /a}\n"), []),
      (
        Sample.text(clusters: "  a: {connection: host=h, data-directory: /data}\n", stores: "    s: {path: /data/b}\n"),
        [
          "f:6:15: repository.stores.s.path: lies inside the data directory of cluster \"a\", and would be lost with it; "
            + "put the store elsewhere, best on another disk"
        ]
      ),
      (
        Sample.text(stores: "    a: {path: /a/../b}\n"),
        [
          "f:6:15: repository.stores.a.path: \"/a/../b\" is not a usable path; write it without \"..\" and in less than "
            + "4096 bytes"
        ]
      ),
    ])
  func bad(text: String, expected: [String]) { #expect(Sample.problems(text) == expected) }

  @Test(
    "is refused for jobs it cannot run",
    arguments: [
      (
        Sample.text(jobs: "  j: {kind: physical, cluster: oath}\n"),
        ["f:8:32: jobs.j.cluster: there is no cluster \"oath\"; did you mean \"oauth\"?"]
      ),
      (
        Sample.text(jobs: "  j: {cluster: oauth}\n"),
        [
          "f:8:6: jobs.j: the key \"kind\" is missing; write kind: physical, kind: logical, kind: wal, kind: copy, kind: drill or kind: check"
        ]
      ),
      (
        Sample.text(jobs: "  j: {kind: phyiscal, cluster: oauth}\n"),
        [
          "f:8:13: jobs.j.kind: \"phyiscal\" is not one of physical, logical, wal, copy, drill, check; did you mean \"physical\"?"
        ]
      ),
      (Sample.job("shedule: \"@daily\""), ["f:8:39: jobs.j.shedule: unknown key; did you mean \"schedule\"?"]),
      (
        Sample.job("schedule: \"61 * * * *\""),
        [
          "f:8:49: jobs.j.schedule: \"61 * * * *\" is not a valid schedule: in the minute field, \"61\" is not a number "
            + "from 0 to 59"
        ]
      ),
      (
        Sample.job("schedule: 0 2 * * 1,3"),
        [
          "f:8:59: jobs.j.3: unknown key; put a cron expression with commas in quotes, as in schedule: \"0 2 * * 1,3\""
        ]
      ),
      (
        Sample.job("timezone: Europe/Berln"),
        [
          "f:8:49: jobs.j.timezone: \"Europe/Berln\" is not a time zone of this system; write a name such as "
            + "Europe/Berlin or UTC; \"timedatectl list-timezones\" prints them"
        ]
      ),
      (Sample.job("stores: [a]"), ["f:8:39: jobs.j.stores: is not supported by this version"]),
      (Sample.job("slot: x"), ["f:8:39: jobs.j.slot: does not apply to jobs of kind physical"]),
      (
        Sample.job("source: direct"),
        ["f:8:6: jobs.j: source: direct needs the data-directory of cluster \"oauth\"; name it there, or use auto"]
      ),
      (
        Sample.job("deadline: 90"),
        ["f:8:49: jobs.j.deadline: \"90\" is not a valid duration; write a unit, such as 90s, 90m or 90d"]
      ),
      (Sample.job("deadline: 5s"), ["f:8:49: jobs.j.deadline: 5s is not between 1m and 30d"]),
      (
        Sample.job("rate: fast"),
        ["f:8:45: jobs.j.rate: \"fast\" is not a valid size; expected a number and a unit, such as 32MiB"]
      ),
      (Sample.job("full: yes"), ["f:8:45: jobs.j.full: \"yes\" is neither true nor false"]),
      (Sample.job("keep: {monthly: 0}"), ["f:8:55: jobs.j.keep.monthly: 0 is not between 1 and 100000"]),
      (Sample.job("keep: {count: 1, last: 1}"), ["f:8:45: jobs.j.keep: \"count\" and \"last\" are the same: name one"]),
      (Sample.job("keep: {}"), ["f:8:45: jobs.j.keep: must name a span or a count"]),
      (Sample.job("keep: {count: 0}"), ["f:8:53: jobs.j.keep.count: 0 is not between 1 and 100000"]),
      (
        Sample.wal("schedule: \"@daily\""),
        ["f:8:34: jobs.w.schedule: does not apply to jobs of kind wal, which run for as long as the daemon does"]
      ),
      (Sample.wal("partial-interval: 100ms"), ["f:8:52: jobs.w.partial-interval: 100ms is not between 1s and 1h"]),
      (
        Sample.wal("slot: My-Slot"),
        [
          "f:8:40: jobs.w.slot: \"My-Slot\" is not a slot name; use 1 to 63 lower-case letters, digits and underscores"
        ]
      ),
      (
        Sample.text(jobs: "  j: {kind: logical, cluster: oauth, data-only: true, schema-only: true}\n"),
        ["f:8:68: jobs.j.schema-only: \"data-only\" and \"schema-only\" together leave nothing"]
      ),
      (
        Sample.text(jobs: "  j: {kind: logical, cluster: oauth, tables: []}\n"),
        ["f:8:46: jobs.j.tables: must not be empty; leave the key out"]
      ),
      (
        Sample.text(jobs: "  j: {kind: logical, cluster: oauth, checkpoint: fast}\n"),
        ["f:8:38: jobs.j.checkpoint: does not apply to jobs of kind logical"]
      ),
      (Sample.job("tables: [a]"), ["f:8:39: jobs.j.tables: does not apply to jobs of kind physical"]),
      (
        Sample.text(jobs: "  a: {kind: wal, cluster: oauth}\n  b: {kind: wal, cluster: oauth}\n"),
        ["f:9:6: jobs.b: job \"a\" streams the WAL of cluster \"oauth\" already"]
      ),
    ])
  func badJobs(text: String, expected: [String]) { #expect(Sample.problems(text) == expected) }

  @Test("has the dumps of a team: all tables every six hours, the critical ones every five minutes") func dumps() throws
  {
    let text = Sample.text(
      jobs: """
          logical:  {kind: logical, cluster: oauth, schedule: "0 */6 * * *", keep: 7d}
          critical: {kind: logical, cluster: oauth, schedule: "*/5 * * * *", keep: 24h, inserts: true, data-only: true,
                     tables: [oauth_tokens, user_sessions, auth_audit_log], exclude-tables: old, lock-timeout: 30s}

        """)
    let configuration = try Configuration.parse(text, path: "f")
    guard case .logical(let all) = configuration.jobs[0].kind, case .logical(let some) = configuration.jobs[1].kind
    else {
      Issue.record("no logical jobs")
      return
    }
    #expect(all.tables.isEmpty && all.content == .all && !all.inserts && all.database == nil)
    #expect(some.tables == ["oauth_tokens", "user_sessions", "auth_audit_log"] && some.excludedTables == ["old"])
    #expect(some.content == .data && some.inserts && some.lockTimeout == .seconds(30))
    #expect(configuration.jobs[1].schedule?.text == "*/5 * * * *")
  }

  @Test(
    "never holds a password",
    arguments: [
      "host=h password=x", "PASSWORD = x", "password='x'", "postgresql://u:pw@h/db", "postgres://u:@h",
      "postgres://h/d?password=x",
    ])
  func passwords(connection: String) {
    let problems = Sample.problems(Sample.text(clusters: "  a: {connection: \"\(connection)\"}\n"))
    #expect(problems.count == 1)
    #expect(problems.first?.contains("must not hold a password") == true)
  }

  @Test("tells all its errors at once, in the order of the file")
  func allAtOnce() {
    let text = """
      daemon: {workers: 99, socket: run.sock}
      clusters:
        a: {connection: host=h, conection: x}
        a: {connection: host=h}
      repository:
        encryption: none
        encryption: none
        stores: {s: {path: /s, path: /t}}
      jobs:
        j: {kind: physical, cluster: b, retries: -1}
      """
    #expect(
      Sample.problems(text) == [
        "f:1:19: daemon.workers: 99 is not between 1 and 32",
        "f:1:31: daemon.socket: \"run.sock\" is not an absolute path; write it from \"/\" on",
        "f:3:3: the key \"a\" is there more than once in the same mapping",
        "f:6:3: the key \"encryption\" is there more than once in the same mapping",
        "f:8:16: the key \"path\" is there more than once in the same mapping",
        "f:10:32: jobs.j.cluster: there is no cluster \"b\"; did you mean \"a\"?",
        "f:10:44: jobs.j.retries: -1 is not between 0 and 10",
      ])
  }

  @Test(
    "explains YAML that cannot be read",
    arguments: [
      ("jobs:\n  j:\n    schedule: * * * * *\n", "f:3:16: is not valid YAML", "in quotes"),
      ("jobs:\n  j: {schedule: */5 * * * *}\n", "f:2:18: is not valid YAML", "in quotes"),
      ("jobs:\n  j: {schedule: @daily}\n", "f:2:17: is not valid YAML", "in quotes"),
      ("a: 1\n\tb: 2\n", "f:2:1: is not valid YAML", "spaces"), ("a: [1\n", "is not valid YAML", ""),
      ("a: 1\n---\nb: 2\n", "is not valid YAML", "another document"),
    ])
  func notYAML(text: String, place: String, word: String) {
    let problems = Sample.problems(text)
    #expect(problems.count == 1)
    #expect(
      problems.first?.contains(place) == true && (word.isEmpty || problems.first?.contains(word) == true), "\(problems)"
    )
  }

  @Test("never traps, whatever the file says")
  func survivesNoise() {
    let good = Array(
      Sample.text(daemon: "daemon: {workers: 2}\n", jobs: "  j: {kind: physical, cluster: oauth, keep: {count: 2}}\n")
        .utf8)
    var random = SystemRandomNumberGenerator()
    let letters = Array("{}[]:,&*!|>'\"%@`#- \n\t01az~?é".utf8)
    for _ in 0..<1000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = letters.randomElement(using: &random)!
      }
      _ = Sample.problems(String(decoding: bytes, as: UTF8.self))
    }
    _ = Sample.problems(String(repeating: "[", count: 100_000))
    _ = Sample.problems(String(repeating: "- ", count: 100_000))
    _ = Sample.problems("a: \"\\uD800\"\n")
    _ = Sample.problems("? {a: b}\n: c\n")
  }
}
