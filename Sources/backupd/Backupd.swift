import ArgumentParser
import BackupModel
import DaemonConfiguration
import Foundation
import KeyManagement
import Logging
import Systemd

/// The daemon.
@main
struct Backupd: AsyncParsableCommand {
  static let version = "0.1.0"
  static let configuration = CommandConfiguration(
    commandName: "backupd", abstract: "Keeps PostgreSQL clusters recoverable, and proves it.",
    discussion:
      "Runs in the foreground, logs to the journal or to standard error, reloads on SIGHUP, stops on SIGTERM.",
    version: version)

  @Option(help: "The configuration file.")
  var config = ProcessInfo.processInfo.environment["BACKUPD_CONFIG"] ?? "/etc/backupd/backupd.yaml"

  @Option(help: "A credential outside the service manager: NAME=FILE. May be given several times.")
  var credential: [String] = []

  @Option(help: "The least severe level that is logged: debug, info, notice, warning, error.")
  var logLevel = "info"

  func run() async throws {
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("There is no log level \"\(logLevel)\".")
    }
    let paths: [String: String]
    do {
      paths = try Credentials.files(credential)
    } catch {
      throw ValidationError("\(ErrorReport(error).summary): it is given as NAME=FILE.")
    }
    let environment = ProcessInfo.processInfo.environment
    let destination = LogDestination.detect(environment: environment)
    LoggingSystem.bootstrap { _ in destination.handler(identifier: "backupd", level: level) }
    let logger = Logger(label: "backupd")
    let credentials = Credentials(environment: environment, overrides: paths)
    do {
      let path = config.hasPrefix("/") ? config : FileManager.default.currentDirectoryPath + "/" + config
      let assembly = try Assembly(
        configurationPath: path, credentials: credentials, notifier: Notifier(environment: environment),
        logger: logger)
      try await assembly.run()
    } catch {
      let report = ErrorReport(error)
      logger.critical("backupd cannot run", metadata: ["error": "\(report)"])
      // A wrong configuration does not become right by starting again: the unit does not restart on 2.
      throw ExitCode(error is ConfigurationError ? 2 : 1)
    }
  }

  static func main() async {
    CoreDumps.forbid()
    HeapSettings.apply()
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let code = exitCode(for: error)
      // Usage is 2 here as in every program of ours.
      if code == .validationFailure {
        FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
        Foundation.exit(2)
      }
      exit(withError: error)
    }
  }
}
