import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// `make install DESTDIR=`: what a package would hold.
@Suite("Installation") struct InstallTests {
  @Test("puts everything where Debian expects it, readable by all, whatever the umask") func tree() throws {
    try TemporaryDirectory.run { directory in
      let root = directory + "/root"
      try install(root, prefix: "/usr")
      var expected = Self.files
      for page in try documents() { expected["usr/share/doc/backupd/" + page] = 0o644 }
      let catalog = Programs.source + "/systemd/backupd.catalog"
      if FileManager.default.fileExists(atPath: catalog) {
        expected["usr/lib/systemd/catalog/backupd.catalog"] = 0o644
      }
      let found = try Self.modes(below: root)
      #expect(found.files == expected)
      #expect(found.directories.allSatisfy { $0.value == 0o755 })
      try expectPrograms(root)
      try expectPages(root)
    }
  }

  @Test("follows the prefix, also in the unit") func prefix() throws {
    try TemporaryDirectory.run { directory in
      try install(directory, prefix: "/opt/backupd")
      let unit = try String(
        contentsOfFile: directory + "/opt/backupd/lib/systemd/system/backupd.service", encoding: .utf8)
      #expect(unit.contains("ExecStart=/opt/backupd/bin/backupd ") && !unit.contains("/usr/bin"))
      #expect(try Self.modes(below: directory).files.keys.allSatisfy { $0.hasPrefix("opt/") || $0.hasPrefix("etc/") })
    }
  }

  private func install(_ root: String, prefix: String) throws {
    let script = "umask 077; exec \"$0\" \"$@\""
    try Program.succeed(
      "/bin/bash", ["-c", script, Programs.source + "/scripts/install.sh", root, prefix, try Programs.directory()])
  }

  private func expectPrograms(_ root: String) throws {
    let version = try Program.succeed(root + "/usr/bin/backupctl", ["--version"])
    #expect(version.hasPrefix("backupctl "))
    let unit = try String(contentsOfFile: root + "/usr/lib/systemd/system/backupd.service", encoding: .utf8)
    #expect(unit == (try String(contentsOfFile: Programs.source + "/systemd/backupd.service", encoding: .utf8)))
    let completion = root + "/usr/share/bash-completion/completions/backupctl"
    try Program.succeed("/bin/bash", ["-c", "source \"$0\" && complete -p backupctl", completion])
  }

  private func expectPages(_ root: String) throws {
    for (page, title) in [("man8/backupd.8", "BACKUPD 8"), ("man5/backupd.yaml.5", "BACKUPD.YAML 5")] {
      let text = try Program.succeed("gzip", ["-dc", root + "/usr/share/man/\(page).gz"])
      #expect(text.contains("\n.Dt \(title)\n"))
    }
    let changes = try Program.succeed("gzip", ["-dc", root + "/usr/share/doc/backupd/changelog.gz"])
    #expect(changes.hasPrefix("# Changes\n"))
  }

  private static let files: [String: UInt32] = [
    "usr/bin/backupd": 0o755,
    "usr/bin/backupctl": 0o755,
    "usr/bin/backupd-wal": 0o755,
    "usr/lib/systemd/system/backupd.service": 0o644,
    "usr/lib/sysusers.d/backupd.conf": 0o644,
    "usr/lib/tmpfiles.d/backupd.conf": 0o644,
    "usr/share/bash-completion/completions/backupctl": 0o644,
    "usr/share/zsh/vendor-completions/_backupctl": 0o644,
    "usr/share/fish/vendor_completions.d/backupctl.fish": 0o644,
    "usr/share/man/man1/backupctl.1.gz": 0o644,
    "usr/share/man/man5/backupd.yaml.5.gz": 0o644,
    "usr/share/man/man8/backupd.8.gz": 0o644,
    "usr/share/doc/backupd/README.md": 0o644,
    "usr/share/doc/backupd/LICENSE": 0o644,
    "usr/share/doc/backupd/changelog.gz": 0o644,
    "usr/share/doc/backupd/examples/backupd.yaml": 0o644,
    "usr/share/doc/backupd/examples/prometheus/backupd.rules.yml": 0o644,
    "usr/share/doc/backupd/examples/prometheus/backupd.rules.test.yml": 0o644,
    "usr/share/doc/backupd/examples/aws-policies/daemon.json": 0o644,
    "usr/share/doc/backupd/examples/aws-policies/append.json": 0o644,
    "usr/share/doc/backupd/examples/aws-policies/create.json": 0o644,
    "usr/share/doc/backupd/examples/aws-policies/prune.json": 0o644,
    "usr/share/doc/backupd/examples/aws-policies/restore.json": 0o644,
    "usr/share/doc/backupd/examples/checks.sql": 0o644,
    "etc/backupd/backupd.yaml.example": 0o644,
    "usr/share/doc/backupd/examples/backupd-cloud.yaml": 0o644,
  ]

  /// The pages that README links to.
  private func documents() throws -> [String] {
    let root = Programs.source + "/"
    let found = FileManager.default.enumerator(atPath: root + "docs")?.compactMap { $0 as? String } ?? []
    #expect(found.count > 5)
    return found.filter { $0.hasSuffix(".md") }.map { "docs/" + $0 }
  }

  /// Paths below a directory and their permissions.
  private static func modes(below root: String) throws -> (files: [String: UInt32], directories: [String: UInt32]) {
    var files: [String: UInt32] = [:]
    var directories: [String: UInt32] = [:]
    for line in try Program.succeed("find", [root, "-mindepth", "1", "-printf", "%y %m %P\\n"]).split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 2).map(String.init)
      let mode = UInt32(parts[1], radix: 8)
      if parts[0] == "d" { directories[parts[2]] = mode } else { files[parts[2]] = mode }
    }
    return (files, directories)
  }
}
