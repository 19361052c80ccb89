internal import FoundationEssentials

/// How a program ended.
public enum ProgramStatus: Sendable, Hashable, CustomStringConvertible {
  case exited(Int32)
  case signalled(Int32)

  public var description: String {
    switch self {
    case .exited(let code): "exit status \(code)"
    case .signalled(let signal): "ended by signal \(signal)"
    }
  }
}

/// What a program left: how it ended and all it wrote.
public struct ProgramResult: Sendable {
  public var status: ProgramStatus
  public var standardOutput: String
  public var standardError: String
  public var succeeded: Bool { status == .exited(0) }
}

/// Runs a program to its end.
public enum Program {
  /// - Parameters:
  ///   - path: Absolute, or a name that is looked for on `PATH`.
  ///   - environment: Added to this process's own.
  ///   - deadline: The program's process group is killed when it passes.
  /// - Throws: ``TestSupportError/deadlinePassed(what:after:standardError:)``; a bad exit status is a result, not an error.
  @discardableResult
  public static func run(
    _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "",
    as user: ProgramUser = .current, deadline: Duration = .seconds(120)
  ) throws -> ProgramResult {
    let program = try RunningProgram(path, arguments, environment: environment, input: input, user: user)
    defer { program.end() }
    return try program.waitForExit(deadline: deadline)
  }

  /// Runs a program that must exit 0.
  /// - Returns: Standard output.
  /// - Throws: ``TestSupportError/programFailed(command:status:standardOutput:standardError:)`` otherwise.
  @discardableResult
  public static func succeed(
    _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "",
    as user: ProgramUser = .current, deadline: Duration = .seconds(120)
  ) throws -> String {
    let result = try run(
      path, arguments, environment: environment, input: input, as: user, deadline: deadline)
    guard result.succeeded else {
      throw TestSupportError.programFailed(
        command: ([path] + arguments).joined(separator: " "), status: result.status,
        standardOutput: result.standardOutput, standardError: result.standardError)
    }
    return result.standardOutput
  }

  /// Makes a script that can be run at once.
  public static func install(_ script: String, at path: String) throws {
    // Moved into place by another program: a child that somebody starts meanwhile would hold our descriptor, and no file
    // that is open for writing can be run.
    try script.write(toFile: path + ".text", atomically: false, encoding: .utf8)
    try succeed("install", ["-m", "0755", path + ".text", path])
  }

  /// Runs a program beside the closure; its process group is killed when the closure ends, if it has not exited by then.
  /// - Parameter wrapper: A command that takes on the program's as its last arguments, before the user is switched.
  public static func running<Result>(
    _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "",
    as user: ProgramUser = .current, wrapper: [String] = [], _ body: (RunningProgram) throws -> Result
  ) throws -> Result {
    let program = try RunningProgram(
      path, arguments, environment: environment, input: input, user: user, wrapper: wrapper)
    defer { program.end() }
    return try body(program)
  }

  public static func running<Result>(
    _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "",
    as user: ProgramUser = .current, isolation: isolated (any Actor)? = #isolation,
    _ body: (RunningProgram) async throws -> Result
  ) async throws -> Result {
    let program = try RunningProgram(path, arguments, environment: environment, input: input, user: user)
    defer { program.end() }
    return try await body(program)
  }

  /// The absolute path of a program.
  static func locate(_ name: String) throws -> String {
    if name.contains("/") { return name }
    let places = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    for place in places where FileManager.default.isExecutableFile(atPath: "\(place)/\(name)") {
      return "\(place)/\(name)"
    }
    throw TestSupportError.systemCall("look on PATH for", path: name, errno: 2)
  }
}
