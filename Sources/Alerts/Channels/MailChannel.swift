internal import BackupModel
public import BlockingWork
public import Transfer

/// Mail to several people, by a mail server or by the host's own `sendmail`.
public struct MailChannel: AlertChannel {
  public enum Transport: Sendable {
    case smtp(SMTPClient)
    /// Absolute path of a program with sendmail's options.
    case sendmail(String)
  }
  private let sender: String
  private let recipients: [String]
  private let transport: Transport

  /// - Parameters:
  ///   - sender: An address without a name or angle brackets, as are the recipients.
  ///   - recipients: At least one.
  public init(sender: String, recipients: [String], transport: Transport) {
    self.sender = sender
    self.recipients = recipients
    self.transport = transport
  }

  public var kind: String {
    switch transport {
    case .smtp: "smtp"
    case .sendmail: "sendmail"
    }
  }

  public func deliver(
    _ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation
  ) throws -> AlertReceipt {
    let mail = MailDocument(message: message, context: context, sender: sender, recipients: recipients).bytes
    switch transport {
    case .smtp(let client):
      let receipt = try client.send(mail, from: sender, to: recipients, cancellation)
      return AlertReceipt(answer: receipt.answer, trouble: Self.trouble(receipt))
    case .sendmail(let path):
      // A line with a dot alone does not end it (-i); recipients are those given here, not those of the header.
      return try ChildProgram(path: path, arguments: ["-i", "-f", sender, "--"] + recipients)
        .run(input: Self.localLines(mail), cancellation)
    }
  }

  /// sendmail reads lines as this host writes them.
  private static func localLines(_ mail: [UInt8]) -> [UInt8] { mail.filter { $0 != 0x0D } }

  private static func trouble(_ receipt: SMTPReceipt) -> ErrorReport? {
    if receipt.refused.isEmpty { return nil }
    return ErrorReport(
      summary: "mail does not reach " + receipt.refused.map { "\"\($0.recipient)\"" }.joined(separator: ", "),
      detail: receipt.refused.map { "\"\($0.recipient)\": \($0.reply)" }.joined(separator: "; "),
      hint: "Correct the address under \"to\", or take it out.")
  }
}
