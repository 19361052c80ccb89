internal import BackupModel
public import Logging

extension Logger {
  /// Does what reads or writes the daemon's state. A disk that does not obey is logged, and ends nothing of what is going on.
  /// - Parameter action: In words that follow "could not".
  public func attempt(to action: String = "record a condition", _ body: () throws -> Void) {
    do { try body() } catch {
      self.error("could not \(action)", metadata: ["error": "\(ErrorReport(error))"])
    }
  }
}
