import ArgumentParser
import BackupModel
import ControlClient
import DaemonConfiguration
import Scheduling

/// What the process ends with.
enum ExitStatus {
  static let done: Int32 = 0
  static let failed: Int32 = 1
  /// Wrong usage or configuration.
  static let usage: Int32 = 2
  /// `status`: a condition is raised.
  static let conditions: Int32 = 3
  /// `wal fetch`: PostgreSQL stops recovery instead of taking this for the end of WAL.
  static let recoveryMustStop: Int32 = 126

  /// Tells the operator what went wrong, unless the command has done so.
  /// - Returns: The status to exit with.
  static func report(_ error: any Error) -> Int32 {
    let status = tell(error)
    // PostgreSQL takes 1 to 125 for "there is no such segment" and ends recovery there, so nothing that goes wrong
    // before the command itself runs may end in one of them.
    return status != done && isWALFetch && !(error is ExitCode) ? recoveryMustStop : status
  }

  private static func tell(_ error: any Error) -> Int32 {
    if let code = error as? ExitCode { return code.rawValue }
    let status = status(of: error)
    if let status {
      ErrorOutput.print(ErrorReport(error))
      return status
    }
    if Backupctl.exitCode(for: error) == .success {
      Output.write(help(Backupctl.fullMessage(for: error)))
      return done
    }
    ErrorOutput.print(UsageReport.make(error, Array(CommandLine.arguments.dropFirst())))
    return usage
  }

  /// The parser calls each group of commands "SUBCOMMANDS" after its title.
  private static func help(_ text: String) -> String {
    let suffix = " SUBCOMMANDS:"
    return text.split(separator: "\n", omittingEmptySubsequences: false).map {
      $0.hasSuffix(suffix) && !$0.hasPrefix(" ") ? $0.dropLast(suffix.count) + ":" : $0
    }.joined(separator: "\n")
  }

  /// Nil for the argument parser's own errors.
  private static func status(of error: any Error) -> Int32? {
    switch error {
    case is ConfigurationError, is UsageError, is FormatError, is SchedulingError: usage
    case ControlError.daemon(let failure) where failure.kind == .configurationInvalid: usage
    case is any OperatorError, is CancellationError: failed
    default: Backupctl.exitCode(for: error) == .failure ? failed : nil
    }
  }

  private static var isWALFetch: Bool { CommandLine.arguments.dropFirst().prefix(2).elementsEqual(["wal", "fetch"]) }
}

/// Arguments that each have the right form and do not make sense together.
struct UsageError: OperatorError {
  var summary: String
  var detail: String?
  var hint: String?

  init(_ summary: String, detail: String? = nil, hint: String? = nil) {
    self.summary = summary
    self.detail = detail
    self.hint = hint
  }
}
