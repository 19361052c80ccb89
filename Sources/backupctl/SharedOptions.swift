import ArgumentParser
import BackupModel
import BlockingWork
import ControlClient
import DaemonConfiguration
import Systemd

#if canImport(Glibc)
  import Glibc
#endif

/// What every command takes.
struct SharedOptions: ParsableArguments {
  @Flag(help: "Print one JSON document; its keys are in docs/reference/json.md.")
  var json = false

  @Option(
    name: .customLong("config"),
    help: ArgumentHelp(
      "Configuration file; otherwise BACKUPD_CONFIG, otherwise /etc/backupd/backupd.yaml.", valueName: "file"),
    completion: .file())
  var configurationFile: String?

  @Option(
    help: ArgumentHelp(
      "Where a credential of the configuration lies, instead of /etc/credstore; may be given for each.",
      valueName: "name=file"))
  var credential: [String] = []

  init() {}

  /// As if the command line had named this file.
  init(configurationFile: String?) {
    json = false
    credential = []
    self.configurationFile = configurationFile
  }

  /// Absolute: it may be written into a restored server's settings.
  var configurationPath: String {
    let named = configurationFile ?? getenv("BACKUPD_CONFIG").map { String(cString: $0) }
    guard let named, !named.isEmpty else { return "/etc/backupd/backupd.yaml" }
    return FilePath.absolute(named)
  }

  func validate() throws {
    do { _ = try Credentials.files(credential) } catch {
      throw ValidationError("\(ErrorReport(error).summary): it is given as NAME=FILE.")
    }
  }

  /// Files by the name of the credential. Absolute: they may be written into a restored server's settings.
  func credentialFiles() throws -> [String: String] {
    try Credentials.files(credential).mapValues(FilePath.absolute)
  }

  /// Of the service manager where it started us, otherwise of the host.
  func credentials() throws -> Credentials {
    let directory = getenv("CREDENTIALS_DIRECTORY").map { ["CREDENTIALS_DIRECTORY": String(cString: $0)] }
    return Credentials(environment: directory ?? [:], overrides: try credentialFiles())
  }

  func loadConfiguration() throws -> Configuration { try Configuration.load(path: configurationPath) }

  /// The daemon, for which nothing of the file but `daemon.socket` has to be right.
  func client(_ cancellation: Cancellation = Cancellation()) -> ControlClient {
    ControlClient(
      socketPath: Configuration.socketPath(fromPossiblyBrokenFile: configurationPath), cancellation: cancellation)
  }

  /// Prints a document, or what `text` makes for people.
  func show(_ document: @autoclosure () -> JSONValue, text: () -> String) {
    Output.write(json ? document().text : text())
  }
}

/// Paths as an operator types them.
enum FilePath {
  static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
    defer { free(directory) }
    let base = String(cString: directory)
    let rest = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
    return rest.isEmpty || rest == "." ? base : (base == "/" ? "/" : base + "/") + rest
  }

  /// The directory this program lies in; nil where the kernel does not tell.
  static func ownDirectory() -> String? {
    guard let path = realpath("/proc/self/exe", nil) else { return nil }
    defer { free(path) }
    let text = String(cString: path)
    return text.lastIndex(of: "/").map { String(text[..<$0]) }
  }
}

/// Makes a transform for an argument of a type that parses itself, so that its own words explain a wrong value.
func parsing<Value>(
  _ make: @escaping @Sendable (String) throws -> Value
) -> @Sendable (String) throws -> Value {
  { text in
    do {
      return try make(text)
    } catch {
      let report = ErrorReport(error)
      throw ValidationError(report.detail ?? report.summary)
    }
  }
}
