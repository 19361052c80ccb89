import BlockingWork
import Foundation
import Glibc
import TestSupport
import Testing

@testable import ServerPrograms

@Suite("A program that is started") struct ProgramStartTests {
  /// What `env` prints as a child.
  private static func environment(_ inheriting: ProgramStart.Inheritance) throws -> [String] {
    try TemporaryDirectory.run { directory in
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_addopen(&actions, 1, directory + "/out", O_WRONLY | O_CREAT, 0o600)
      let pid = try ProgramStart.spawn(
        ["/usr/bin/env"], &actions, inheriting: inheriting, environment: ["AWS_GIVEN": "by us"])
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      #expect(status == 0)
      let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: directory + "/out")), as: UTF8.self)
      return text.split(separator: "\n").map(String.init)
    }
  }

  @Test("does not get the keys of stores unless it reads the repository, and all else")
  func environment() throws {
    // Looked for by nobody else in this process.
    setenv("AWS_BACKUPD_TEST_KEY", "MARKED-SECRET", 1)
    let path = "PATH=" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
    let all = try Self.environment(.all)
    #expect(all.contains("AWS_BACKUPD_TEST_KEY=MARKED-SECRET") && all.contains(path))
    let less = try Self.environment(.withoutStoreKeys)
    #expect(!less.contains { $0.contains("MARKED-SECRET") } && less.contains(path))
    // What is given to the child itself is its own.
    #expect(all.contains("AWS_GIVEN=by us") && less.contains("AWS_GIVEN=by us"))

    let program = try PipedProgram("/usr/bin/env", [], .output, cancellation: Cancellation())
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = try buffer.withUnsafeMutableBytes { try program.read(into: $0) }
      if count == 0 { break }
      text += buffer[..<count]
    }
    try program.finish()
    #expect(!String(decoding: text, as: UTF8.self).contains("MARKED-SECRET"))
  }

  @Test(
    "gets variables by their names",
    arguments: [
      ("AWS_SECRET_ACCESS_KEY", false), ("AWS_PROFILE", false), ("GOOGLE_APPLICATION_CREDENTIALS", false),
      ("PGPASSFILE", true), ("CREDENTIALS_DIRECTORY", true), ("MY_AWS_", true), ("", true),
    ])
  func names(name: String, passes: Bool) {
    #expect(ProgramStart.Inheritance.withoutStoreKeys.passes(name) == passes)
    #expect(ProgramStart.Inheritance.all.passes(name))
  }
}
