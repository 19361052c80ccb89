import BackupModel
import DaemonConfiguration
import DurableFiles
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

@Suite("A configuration file") struct ConfigurationFileTests {
  /// The repository's root: this file lies two directories below it.
  static let root: String = {
    guard let file = realpath(#filePath, nil) else { return "." }
    defer { free(file) }
    return DurableFile.parent(of: DurableFile.parent(of: DurableFile.parent(of: String(cString: file))))
  }()

  static func write<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { directory in
      let path = directory + "/backupd.yaml"
      try DurableFile.replace(path, with: Array(text.utf8))
      return try body(path)
    }
  }

  @Test("that is installed as an example can be used")
  func example() throws {
    let configuration = try Configuration.load(path: Self.root + "/etc/backupd.yaml.example")
    #expect(configuration.jobs.contains { $0.kind.name == "wal" })
    #expect(configuration.jobs.contains { $0.schedule != nil })
  }

  @Test("that shows a bucket, a lock, an archive and a key of AWS can be used")
  func cloudExample() throws {
    let configuration = try Configuration.load(path: Self.root + "/etc/backupd-cloud.yaml.example")
    #expect(configuration.repository.stores.map(\.durability) == [.required, .required, .onCopy])
    #expect(configuration.repository.encryption.recipients.map(\.kind) == ["aws-kms", "aws-kms", "key-file"])
    #expect(configuration.repository.stores[1].lock?.mode == .compliance)
  }

  @Test("that is missing, no text or wrong is an error with its name")
  func unreadable() throws {
    #expect {
      try Configuration.load(path: "/nonexistent/backupd.yaml")
    } throws: { error in
      let report = ErrorReport(error)
      return report.summary == "could not read the configuration file \"/nonexistent/backupd.yaml\""
        && report.hint?.contains("--config") == true
    }
    try Self.write("a: b: c\nx: \u{FF}") { path in
      try DurableFile.replace(path, with: [0xFF, 0xFE, 0x00])
      #expect(throws: ConfigurationError.self) { try Configuration.load(path: path) }
    }
    try Self.write("daemon: {workers: 0, sockt: 1}\n") { (path) -> Void in
      #expect {
        try Configuration.load(path: path)
      } throws: { error in
        let report = ErrorReport(error)
        return report.summary == "the configuration file \"\(path)\" has 4 errors"
          && report.detail?.split(separator: "\n").count == 4
          && report.detail?.contains("\(path):1:22: daemon.sockt: unknown key; did you mean \"socket\"?") == true
      }
    }
  }

  @Test(
    "names the socket even where the rest of it is wrong",
    arguments: [
      ("daemon: {socket: /run/x.sock, workers: 99}\nnonsense: 1\n", "/run/x.sock"),
      ("daemon:\n  socket: /run/x.sock\njobs: {schedule: * * *}\n", "/run/x.sock"),
      ("daemon: {socket: \"/run/x.sock\", workers: [}\n", "/run/x.sock"),
      ("# socket: /run/y.sock\ndaemon: {workers: [}\n", Configuration.standardSocket),
      ("daemon: {socket: x.sock}\n", Configuration.standardSocket), ("clusters: {}\n", Configuration.standardSocket),
      ("", Configuration.standardSocket),
    ])
  func socket(text: String, expected: String) throws {
    try Self.write(text) { #expect(Configuration.socketPath(fromPossiblyBrokenFile: $0) == expected) }
    #expect(Configuration.socketPath(fromPossiblyBrokenFile: "/nonexistent") == Configuration.standardSocket)
  }

  @Test("differs from another in readable lines")
  func difference() throws {
    func configuration(_ cluster: String, _ jobs: String) throws -> Configuration {
      try Configuration.parse(
        "clusters: {a: {connection: \(cluster)}}\nrepository: {encryption: none, stores: {s: {path: /s}}}\njobs:\n\(jobs)",
        path: "f")
    }
    let old = try configuration(
      "host=h",
      "  one: {kind: physical, cluster: a, schedule: \"0 2 * * *\", timezone: UTC, keep: 30d}\n  two: {kind: wal, cluster: a}\n"
    )
    let new = try configuration(
      "host=i",
      "  one: {kind: physical, cluster: a, schedule: \"0 3 * * *\", timezone: UTC, rate: 1MiB}\n  three: {kind: physical, cluster: a}\n"
    )
    #expect(old.difference(from: old).isEmpty)
    #expect(
      new.difference(from: old) == [
        "cluster \"a\": connection changed from \"host=h\" to \"host=i\"", "job \"two\" removed",
        "job \"one\": schedule changed from \"0 2 * * *\" to \"0 3 * * *\"",
        "job \"one\": keep no longer set, was \"30d, at least 2\"",
        "job \"one\": rate set to \"1.0 MiB\"", "job \"three\" added",
      ])
  }

  @Test("locks what it stores and names keys that only delete, and their secrets are checked")
  func protection() throws {
    func configuration(_ more: String, _ lock: String) throws -> Configuration {
      try Configuration.parse(
        Sample.text(stores: "    cloud: {s3: {bucket: b, region: r\(more)}\(lock)}\n"), path: "f")
    }
    let keys = ", prune-credentials: {access-key: {file: /nonesuch/a}, secret-key: {file: /nonesuch/b}}"
    let new = try configuration(keys, ", lock: {mode: compliance, for: 30d}")
    let store = try #require(new.repository.stores.first)
    #expect(store.lock?.mode == .compliance && store.lock?.period == .seconds(30 * 86400))
    guard case .s3(let place) = store.place else {
      Issue.record("\(store.place)")
      return
    }
    #expect(place.credentials == nil && place.pruneCredentials?.secretKey == .file("/nonesuch/b"))
    let wanted = ["access-key", "secret-key"].map { "repository.stores.cloud.s3.prune-credentials.\($0)" }
    #expect(new.secretProblems().map(\.key) == wanted)
    #expect(
      new.difference(from: try configuration("", "")) == [
        "store \"cloud\": lock set to \"compliance for 30d\"",
        "store \"cloud\": prune-access-key set to \"\(SecretSource.file("/nonesuch/a"))\"",
        "store \"cloud\": prune-secret-key set to \"\(SecretSource.file("/nonesuch/b"))\"",
      ])
  }

  @Test("names two places for two stores, also where links lead to them")
  func links() throws {
    try TemporaryDirectory.run { directory in
      for path in ["/data", "/data/inner"] { #expect(mkdir(directory + path, 0o700) == 0) }
      #expect(symlink(directory + "/data", directory + "/link") == 0)
      func problems(_ stores: String) -> [String] { Sample.problems(Sample.text(stores: stores)) }
      let same = problems("    a: {path: \(directory)/data}\n    b: {path: \(directory)/link}\n")
      #expect(same.contains { $0.contains("leads to the path of store \"a\"") }, "\(same)")
      let inside = problems("    a: {path: \(directory)/data}\n    b: {path: \(directory)/link/inner/new}\n")
      #expect(inside.contains { $0.contains("lies inside the path of store \"a\"") }, "\(inside)")
      #expect(problems("    a: {path: \(directory)/data/inner}\n    b: {path: \(directory)/other}\n").isEmpty)
    }
  }

  @Test("has secrets elsewhere: in files, credentials and the environment")
  func secrets() throws {
    try Self.write("hunter2\n") { (path) throws in
      let none: (String) throws -> Secret = { _ in Secret("from the manager\r\n") }
      #expect(try SecretSource.file(path).read(credential: none).revealText() == "hunter2")
      #expect(try SecretSource.credential("x").read(credential: none).revealText() == "from the manager")
      #expect(try SecretSource.environment("PATH").read(credential: none).revealText().contains("/"))
      #expect(throws: ConfigurationError.self) { try SecretSource.file(path + "x").read(credential: none) }
      #expect(throws: ConfigurationError.self) { try SecretSource.environment("BACKUPD_UNSET").read(credential: none) }
      // Others may not read it, nor the group write; the group may read.
      for mode: mode_t in [0o644, 0o604, 0o620, 0o660] {
        #expect(chmod(path, mode) == 0)
        let error = #expect(throws: ConfigurationError.self) { try SecretSource.file(path).read(credential: none) }
        #expect(error?.detail?.contains("0" + String(mode, radix: 8)) == true && error?.hint?.contains(path) == true)
      }
      #expect(chmod(path, 0o640) == 0)
      #expect(try SecretSource.file(path).read(credential: none).revealText() == "hunter2")
      #expect(throws: ConfigurationError.self) { try SecretSource.file("/dev/null").read(credential: none) }
    }
  }
}

@Suite("The configuration reference") struct ConfigurationReferenceTests {
  /// After a change of the declarations: `BACKUPD_UPDATE_REFERENCE=1 swift test --filter ConfigurationReference`.
  @Test(
    "in the documents is what the declarations say",
    arguments: [
      ("docs/reference/configuration.md", ConfigurationReference.markdown()),
      ("docs/man/backupd.yaml.5", ConfigurationReference.manual()),
    ])
  func document(name: String, text: String) throws {
    let path = ConfigurationFileTests.root + "/" + name
    if getenv("BACKUPD_UPDATE_REFERENCE") != nil {
      try DurableFile.replace(path, with: Array(text.utf8), mode: 0o644)
    }
    #expect(String(decoding: try DurableFile.read(path), as: UTF8.self) == text)
  }

  @Test("has every key in the manual, and an example that can be used")
  func manual() throws {
    let lines = ConfigurationReference.manual().split(separator: "\n").map(String.init)
    let keys = lines.filter { $0.hasPrefix(".It Cm ") }.map { String($0.dropFirst(7)) }
    let declared = try ConfigurationReference.keys().map { String($0.path.split(separator: ".").last ?? "") }
    #expect(keys == declared)
    let example = lines.drop { $0 != ".Bd -literal" }.dropFirst().prefix { $0 != ".Ed" }.joined(separator: "\n")
    try ConfigurationFileTests.write(example) { path in
      let jobs = try Configuration.load(path: path).jobs
      #expect(jobs.map(\.id.rawValue).sorted() == ["nightly", "wal"])
    }
  }

  @Test("explains a key however it is written", arguments: ["jobs.<job>.keep", "jobs.keep", "jobs.nightly.keep"])
  func key(name: String) throws {
    let text = try ConfigurationReference.explain(name)
    #expect(text.hasPrefix("jobs.<job>.keep\n  How long"))
    #expect(text.hasSuffix("default: not set"))
  }

  @Test("explains a section, and all keys in a line each")
  func sections() throws {
    let section = try ConfigurationReference.explain("daemon")
    #expect(section.contains("daemon.workers\n") && section.contains("range: 1 to 32"))
    #expect(try ConfigurationReference.explain("jobs").contains("partial-interval"))
    let all = try ConfigurationReference.explain().split(separator: "\n")
    #expect(all.contains("daemon.socket: absolute path, default /run/backupd/control.sock"))
    #expect(
      all.contains(
        "repository.encryption: none, {key-file: PATH}, {aws-kms: KEY, region: REGION}, or a list of these, required"))
    #expect(all.contains("repository.encryption.region: region, default the region of the ARN"))
    #expect(!all.contains { $0.contains("object-lock") })
  }

  @Test("suggests the nearest key", arguments: [("daemon.sockt", "daemon.socket"), ("jobs.shedule", "jobs.schedule")])
  func unknown(key: String, suggestion: String) {
    #expect {
      try ConfigurationReference.explain(key)
    } throws: { error in
      ErrorReport(error).hint == "Did you mean \"\(suggestion)\"?"
    }
  }
}
