import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// What a shell offers after `backupctl` and a TAB.
@Suite("Completions", .serialized) struct CompletionTests {
  @Test("offer commands, options and values without a daemon or a configuration") func words() throws {
    #expect(try completions("st") == ["status"])
    #expect(try completions("wal ga") == ["gaps"])
    #expect(try completions("backups --kind ") == ["physical", "logical"])
    #expect(try completions("config explain jobs.ke") == ["jobs.keep"])
    let options = try completions("restore x --target-")
    #expect(options.count == 6 && options.contains("--target-time"))
    // Nothing to offer, and nothing said in the middle of the command line.
    for line in ["run ", "backups --cluster ", "show ", "cancel "] { #expect(try completions(line) == []) }
  }

  @Test("offer names: of the daemon, and without it those of configuration and repository") func names() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        #expect(try completions("run ", site) == ["physical", "wal"])
        let backup = try site.withDaemon { daemon in
          // The daemon's jobs, not those of a file that it has not read.
          try site.writeConfiguration(site.standardConfiguration.replacing("physical:", with: "renamed:"))
          #expect(try completions("run phy", site) == ["physical"])
          try site.writeConfiguration(site.standardConfiguration)
          // One that does not answer costs a second, not the operator's patience.
          daemon.program.signal(SIGSTOP)
          #expect(try completions("run ", site) == ["physical", "wal"])
          daemon.program.signal(SIGCONT)
          let backup = try site.backup()
          #expect(try completions("runs ", site) == ["physical", "wal"])
          // Who may not open the repository is offered what the daemon remembers.
          if ProgramUser.canSwitch {
            try Program.succeed("chmod", ["666", site.socket])
            #expect(try completions("show ", site, as: .nobody) == [backup])
          }
          return backup
        }
        for command in ["show ", "verify ", "delete ", "restore x --backup "] {
          #expect(try completions(command, site) == [backup])
        }
        #expect(try completions("restore x --cluster ", site) == [BackupSite.cluster])
        let other = ["BACKUPD_CONFIG": "/nonesuch"]
        #expect(try completions("run --config \(site.configuration) ph", environment: other) == ["physical"])
      }
    }
  }

  @Test("are scripts their shells can read", arguments: ["bash", "zsh", "fish"]) func syntax(shell: String) throws {
    let script = try script(shell)
    #expect(script.split(separator: "\n").count > 100 && script.contains("backupctl"))
    guard try Program.run("/bin/sh", ["-c", "command -v \(shell)"]).succeeded else { return }
    try TemporaryDirectory.run { directory in
      try script.write(toFile: directory + "/script", atomically: false, encoding: .utf8)
      try Program.succeed(shell, [shell == "fish" ? "--no-execute" : "-n", directory + "/script"])
    }
  }

  private func script(_ shell: String) throws -> String {
    try Program.succeed(Programs.directory() + "/backupctl", ["--generate-completion-script", shell])
  }

  /// What bash offers for the last word of a line; nothing may be said on standard error.
  private func completions(
    _ line: String, _ site: BackupSite? = nil, environment: [String: String] = [:], as user: ProgramUser = .postgres
  ) throws -> [String] {
    let driver = """
      eval "$(cat)"
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
      _backupctl "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let program = try site?.program("backupctl") ?? Programs.directory() + "/backupctl"
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let configuration = ["BACKUPD_CONFIG": site?.configuration ?? "/nonesuch"]
    let result = try Program.run(
      "/bin/bash", ["--norc", "-c", driver, "bash", program] + words,
      environment: configuration.merging(environment) { $1 }, input: try script("bash"),
      as: site == nil ? .current : user)
    #expect(result.succeeded && result.standardError == "")
    return result.standardOutput.split(separator: "\n").map(String.init)
  }
}
