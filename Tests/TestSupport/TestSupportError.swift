/// Why a fixture could not be set up or a program did not do what the test needs of it.
public enum TestSupportError: Error, Sendable, CustomStringConvertible {
  /// PostgreSQL of this major version is in none of the places looked at.
  case postgresMissing(version: Int, searched: [String])
  case programFailed(command: String, status: ProgramStatus, standardOutput: String, standardError: String)
  case deadlinePassed(what: String, after: Duration, standardError: String)
  case systemCall(String, path: String, errno: Int32)
  case serverNotStarted(directory: String, output: String, log: String)
  case userSwitchImpossible(user: String)

  public var description: String {
    switch self {
    case .postgresMissing(let version, let searched):
      """
      PostgreSQL \(version) not found in \(searched.joined(separator: ", ")). Run scripts/setup.sh, or set \
      BACKUPD_TEST_PG to a directory that holds \(version)/bin/postgres
      """
    case .programFailed(let command, let status, let output, let error):
      "\(command): \(status)\n\(error)\(output.suffix(2000))"
    case .deadlinePassed(let what, let after, let error):
      "\(what): not done after \(after)\n\(error.suffix(4000))"
    case .systemCall(let call, let path, let number):
      "\(call) \"\(path)\": \(Errno.text(number))"
    case .serverNotStarted(let directory, let output, let log):
      "PostgreSQL did not start in \(directory)\n\(output)\n\(log.suffix(4000))"
    case .userSwitchImpossible(let user):
      "running a program as \"\(user)\" needs root"
    }
  }
}
