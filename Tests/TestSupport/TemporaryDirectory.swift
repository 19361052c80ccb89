internal import FoundationEssentials
internal import Glibc

/// A directory that exists for the length of a closure, mode 0755 so that user `postgres` reaches what is in it.
///
/// It lies below `BACKUPD_TEST_TMPDIR`, by default `/tmp`: paths stay short enough for unix sockets.
public enum TemporaryDirectory {
  public static func run<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = try create()
    defer { remove(path) }
    return try body(path)
  }

  public static func run<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Result
  ) async throws -> Result {
    let path = try create()
    defer { remove(path) }
    return try await body(path)
  }

  /// Where new directories are made.
  static var parent: String { ProcessInfo.processInfo.environment["BACKUPD_TEST_TMPDIR"] ?? "/tmp" }

  static func create() throws -> String {
    var template = Array((parent + "/backupd-test-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw TestSupportError.systemCall("mkdtemp", path: parent, errno: errno)
    }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try Errno.check(chmod(path, 0o755), "chmod", path)
    return path
  }

  /// Cleanup on the way out of a test that already has its result: what cannot be removed stays in the temporary place.
  static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
}
