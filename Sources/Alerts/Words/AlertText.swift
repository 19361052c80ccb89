internal import BackupModel

/// What a message says, in words: the same on every channel.
struct AlertText {
  let message: AlertMessage
  let context: AlertContext

  /// One line, without a mark of the program.
  var title: String {
    if message.isTest { return "test of channel \(context.channel)" }
    if message.items.count == 1 { return headline(message.items[0]) }
    let raised = message.items.filter { $0.change != .resolved }
    let counts = [
      (raised.count { $0.condition.severity == .critical }, "critical"),
      (raised.count { $0.condition.severity == .warning }, "warning"),
      (message.items.count - raised.count, "resolved"),
    ]
    return "\(message.items.count) conditions: "
      + counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }

  /// `[backupd db1] CRITICAL: …`
  var subject: String { "[backupd \(context.host)] \(title)" }

  /// `CRITICAL: could not …`
  func headline(_ item: AlertItem) -> String {
    let severity = item.condition.severity == .critical ? "CRITICAL" : "WARNING"
    let lasted = DurationText.format(message.created - item.condition.since)
    let mark =
      switch item.change {
      case .raised: severity
      case .again: "\(severity) again"
      case .worsened: "now \(severity)"
      case .reminder: "still \(severity) after \(lasted)"
      case .resolved: "RESOLVED after \(lasted)"
      }
    return "\(mark): \(item.condition.report.summary)"
  }

  /// Facts in a sentence or two; nil where there are none.
  func detail(_ item: AlertItem) -> String? {
    switch item.change {
    case .resolved: nil
    case .again:
      [item.condition.report.detail, "It comes and goes: its end is told once it has stayed away."]
        .compactMap { $0 }.joined(separator: " ")
    default: item.condition.report.detail
    }
  }

  /// What to do.
  func hint(_ item: AlertItem) -> String? { item.change == .resolved ? nil : item.condition.report.hint }

  /// What it is about, in the words of the configuration, and its id.
  func subjects(_ item: AlertItem) -> String {
    let condition = item.condition
    let parts = [
      condition.cluster.map { "cluster \($0)" }, condition.tier.map { "tier \($0)" }, condition.job.map { "job \($0)" },
      condition.store.map { "store \($0)" }, "since \(Self.time(condition.since))", "condition \(condition.id)",
    ]
    return parts.compactMap { $0 }.joined(separator: ", ")
  }

  /// What is to be known of the message itself; empty for one that comes in time.
  var remarks: [String] {
    var lines: [String] = []
    if message.isTest { lines.append("Nothing is wrong. Somebody ran \"backupctl alerts test\".") }
    if message.attempts > 0, context.now - message.created > .seconds(60) {
      lines.append(
        "Written at \(Self.time(message.created)): it could not be delivered for "
          + "\(DurationText.format(context.now - message.created)).")
    }
    if message.lost > 0 {
      lines.append(
        "\(message.lost) earlier message\(message.lost == 1 ? "" : "s") could not be delivered and "
          + "\(message.lost == 1 ? "was" : "were") given up.")
    }
    return lines
  }

  var footer: String { "backupd on \(context.host). What is wrong at present: backupctl status" }

  private static func time(_ time: Timestamp) -> String { Timestamp(seconds: time.seconds).description }

  /// Plain text, lines ended by LF.
  var plain: String {
    var parts: [String] = []
    if !remarks.isEmpty { parts.append(remarks.joined(separator: "\n")) }
    for item in message.items {
      var lines = [headline(item)]
      if let detail = detail(item) { lines.append(detail) }
      if let hint = hint(item) { lines.append("What to do: \(hint)") }
      lines.append("(\(subjects(item)))")
      parts.append(lines.joined(separator: "\n"))
    }
    parts.append("-- \n" + footer)
    return parts.joined(separator: "\n\n") + "\n"
  }

  /// HTML that needs nothing from elsewhere.
  var html: String {
    var body = remarks.map { "<p>\(Self.escaped($0))</p>\n" }.joined()
    for item in message.items {
      body += """
        <div style="border-left:4px solid \(Self.colour(item));padding:2px 12px;margin:12px 0">
        <p><strong>\(Self.escaped(headline(item)))</strong></p>

        """
      if let detail = detail(item) { body += "<p>\(Self.escaped(detail))</p>\n" }
      if let hint = hint(item) { body += "<p>What to do: \(Self.escaped(hint))</p>\n" }
      body += "<p style=\"color:#666\">\(Self.escaped(subjects(item)))</p>\n</div>\n"
    }
    return """
      <!DOCTYPE html>
      <html><head><meta charset="utf-8"><title>\(Self.escaped(title))</title></head>
      <body style="font-family:sans-serif">
      \(body)<p style="color:#666">\(Self.escaped(footer))</p>
      </body></html>

      """
  }

  static func colour(_ item: AlertItem) -> String {
    if item.change == .resolved { return "#2e7d32" }
    return item.condition.severity == .critical ? "#c62828" : "#f9a825"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\n": result += "<br>"
      default: result.append(character)
      }
    }
    return result
  }
}
