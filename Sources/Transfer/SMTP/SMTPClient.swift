internal import BackupModel
public import BlockingWork
internal import CCurl

/// Hands mails to one server, one after another, each over a connection of its own where the last has been closed.
public final class SMTPClient: Sendable {
  private let server: SMTPServer
  private let pool: CurlPool

  public init(_ server: SMTPServer, _ options: TransferOptions = TransferOptions()) {
    var options = options
    options.connections = 1
    self.server = server
    pool = CurlPool(options)
  }

  /// Sends a mail. On return the server has taken it on for at least one recipient.
  /// - Parameters:
  ///   - sender: The envelope's sender, without angle brackets.
  ///   - recipients: At least one, without angle brackets.
  ///   - mail: Header and body with CRLF at the ends of lines (RFC 5322); dots need no doubling.
  /// - Throws: ``SMTPError``, ``TransferError``, what the password's closure throws, `CancellationError`.
  public func send(
    _ mail: [UInt8], from sender: String, to recipients: [String], _ cancellation: Cancellation
  ) throws -> SMTPReceipt {
    let password = try server.password.map { try $0() }
    return try mail.withUnsafeBytes { bytes in
      let exchange = Exchange(sending: [bytes], into: .collect(limit: 64 << 10), isPlain: true)
      return try pool.transfer(exchange, bytes: bytes.count, cancellation) { handle in
        prepare(handle, exchange.length, sender, recipients, password)
      } finish: { _, code, text in
        try receipt(code, text, exchange, recipients)
      }
    }
  }

  private func prepare(
    _ handle: CurlHandle, _ length: Int, _ sender: String, _ recipients: [String], _ password: Secret?
  ) {
    handle.set(CURLOPT_URL, server.url)
    handle.set(CURLOPT_PROTOCOLS_STR, "smtp,smtps")
    let level =
      switch server.encryption {
      case .implicit, .required: CURLUSESSL_ALL
      case .opportunistic: CURLUSESSL_TRY
      case .none: CURLUSESSL_NONE
      }
    handle.set(CURLOPT_USE_SSL, Int(level.rawValue))
    if let file = pool.options.certificateFile { handle.set(CURLOPT_CAINFO, file) }
    if let user = server.user { handle.set(CURLOPT_USERNAME, user) }
    if let password { handle.set(CURLOPT_PASSWORD, password.revealText()) }
    handle.set(CURLOPT_MAIL_FROM, "<\(sender)>")
    handle.set(CURLOPT_MAIL_RCPT, recipients.map { "<\($0)>" })
    // One wrong address must not keep the mail from the others.
    handle.set(CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1)
    handle.set(CURLOPT_UPLOAD, 1)
    handle.set(CURLOPT_INFILESIZE_LARGE, size: Int64(length))
  }

  private func receipt(
    _ code: CURLcode, _ text: String, _ exchange: Exchange, _ recipients: [String]
  ) throws -> SMTPReceipt {
    let replies = exchange.replies
    let last = replies.last ?? ""
    switch code {
    case CURLE_OK: return SMTPReceipt(answer: last, refused: Self.refusals(replies, recipients))
    case CURLE_LOGIN_DENIED:
      throw SMTPError.loginDenied(address: server.address, user: server.user ?? "", reply: last)
    case CURLE_USE_SSL_FAILED, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE:
      throw SMTPError.unprotected(address: server.address, reason: text + ".")
    default:
      // A refusal is the server's own word; all else is of the connection.
      if last.first == "4" || last.first == "5" {
        throw SMTPError.refused(address: server.address, reply: last)
      }
      throw pool.failure(code, text, server.address, exchange)
    }
  }

  /// The replies to the recipients are the last before that to DATA, one each.
  private static func refusals(_ replies: [String], _ recipients: [String]) -> [SMTPReceipt.Refusal] {
    guard let data = replies.lastIndex(where: { $0.hasPrefix("354") }), data >= recipients.count else { return [] }
    return zip(recipients, replies[(data - recipients.count)..<data]).compactMap { recipient, reply in
      reply.hasPrefix("2") ? nil : SMTPReceipt.Refusal(recipient: recipient, reply: reply)
    }
  }
}
