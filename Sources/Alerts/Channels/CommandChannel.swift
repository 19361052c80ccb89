internal import BackupModel
public import BlockingWork

/// A program of the operator's, which gets the message as JSON on its standard input and ends with 0 once it has taken it.
public struct CommandChannel: AlertChannel {
  public let kind = "command"
  private let command: [String]

  /// - Parameter command: The absolute path of a program, and its arguments.
  public init(_ command: [String]) {
    precondition(!command.isEmpty)
    self.command = command
  }

  public func deliver(
    _ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation
  ) throws -> AlertReceipt {
    let body = try AlertDocument(message, context).bytes
    return try ChildProgram(path: command[0], arguments: Array(command.dropFirst())).run(
      input: body + [0x0A], cancellation)
  }
}
