import ArgumentParser
import BackupModel
import Scheduling

/// `--as-of`: the repository as it was.
struct AsOfOption: ParsableArguments {
  @Option(
    name: .customLong("as-of"),
    help: ArgumentHelp(
      "Read the stores as they were at this time, where a bucket keeps versions: undoes deleting and overwriting.",
      valueName: "time"))
  var text: String?

  /// Nil for the repository as it is.
  func moment() throws -> Timestamp? {
    guard let text else { return nil }
    let moment = try ZonedTime.told(text, option: "--as-of")
    guard moment <= .now() else {
      throw UsageError("cannot read the repository as of \(moment)", detail: "That time has not come yet.")
    }
    return moment
  }
}
