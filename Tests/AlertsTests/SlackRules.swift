import Foundation

/// What Slack publishes of messages to incoming webhooks, checked one by one.
/// - SeeAlso: https://docs.slack.dev/reference/block-kit/blocks, "header block", "section block", "context block";
///   https://docs.slack.dev/messaging/formatting-message-text, "Escaping text".
enum SlackRules {
  /// What breaks a rule; empty where nothing does.
  static func problems(_ body: String) throws -> [String] {
    guard let root = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any] else {
      return ["the body is no object"]
    }
    var problems: [String] = []
    if (root["text"] as? String)?.isEmpty != false { problems.append("no text for notifications") }
    let blocks = root["blocks"] as? [[String: Any]] ?? []
    let attachments = root["attachments"] as? [[String: Any]] ?? []
    let all = blocks + attachments.flatMap { $0["blocks"] as? [[String: Any]] ?? [] }
    if all.isEmpty || all.count > 50 { problems.append("\(all.count) blocks") }
    for attachment in attachments {
      let color = attachment["color"] as? String ?? ""
      if color.count != 7 || !color.hasPrefix("#") { problems.append("color \(color)") }
    }
    for block in all { problems += Self.problems(of: block) }
    for key in root.keys where !["text", "blocks", "attachments"].contains(key) { problems.append("key \(key)") }
    return problems
  }

  private static func problems(of block: [String: Any]) -> [String] {
    switch block["type"] as? String {
    case "header": text(block["text"], types: ["plain_text"], limit: 150)
    case "section": text(block["text"], types: ["mrkdwn", "plain_text"], limit: 3000)
    case "context":
      {
        let elements = block["elements"] as? [[String: Any]] ?? []
        return ((1...10).contains(elements.count) ? [] : ["\(elements.count) elements"])
          + elements.flatMap { text($0, types: ["mrkdwn", "plain_text"], limit: 3000) }
      }()
    case let type: ["block of type \(type ?? "-")"]
    }
  }

  private static func text(_ value: Any?, types: [String], limit: Int) -> [String] {
    guard let value = value as? [String: Any], let type = value["type"] as? String, types.contains(type),
      let text = value["text"] as? String
    else { return ["a text of the wrong form"] }
    var problems: [String] = []
    if text.isEmpty || text.utf16.count > limit { problems.append("\(text.utf16.count) characters of \(limit)") }
    if text.contains("<") || text.contains(">") { problems.append("a control character as it is") }
    for part in text.split(separator: "&", omittingEmptySubsequences: false).dropFirst()
    where !["amp;", "lt;", "gt;"].contains(where: part.hasPrefix) {
      problems.append("an ampersand as it is")
    }
    return problems
  }
}
