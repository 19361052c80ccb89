internal import BackupModel
internal import Foundation

/// A message as Slack's incoming webhooks take it: a heading, and an attachment for each condition in its colour.
/// - SeeAlso: https://docs.slack.dev/reference/block-kit/blocks and "Formatting message text": 150 characters in a
///   header, 3000 in a section's text, 50 blocks in a message; `&`, `<` and `>` are control characters.
struct SlackBody: Encodable {
  struct Text: Encodable {
    var type: String
    var text: String
  }
  struct Block: Encodable {
    var type: String
    var text: Text?
    var elements: [Text]?
  }
  struct Attachment: Encodable {
    var color: String
    var fallback: String
    var blocks: [Block]
  }
  /// What notifications show.
  var text: String
  var blocks: [Block]
  var attachments: [Attachment]

  static let headerLimit = 150
  static let textLimit = 3000
  /// Two blocks each, so that with the heading a message stays below 50.
  static let conditionLimit = 20

  init(_ message: AlertMessage, _ context: AlertContext) {
    let words = AlertText(message: message, context: context)
    text = Self.escaped(words.subject, limit: Self.textLimit)
    blocks = [
      Block(type: "header", text: Text(type: "plain_text", text: Self.escaped(words.title, limit: Self.headerLimit)))
    ]
    let remarks = words.remarks + (message.items.isEmpty ? [words.footer] : [])
    if !remarks.isEmpty { blocks.append(Self.context(remarks.joined(separator: "\n"))) }
    attachments = message.items.prefix(Self.conditionLimit).map { Self.attachment($0, words) }
    let more = message.items.count - attachments.count
    if more > 0 { blocks.append(Self.context("\(more) more conditions: run backupctl status on \(context.host)")) }
  }

  private static func attachment(_ item: AlertItem, _ words: AlertText) -> Attachment {
    let headline = words.headline(item)
    let lines =
      ["*\(escaped(headline, limit: 1000))*"]
      + [words.detail(item).map { escaped($0, limit: 1000) }, words.hint(item).map { escaped($0, limit: 900) }]
      .compactMap { $0 }
    return Attachment(
      color: AlertText.colour(item), fallback: escaped(headline, limit: textLimit),
      blocks: [
        Block(type: "section", text: Text(type: "mrkdwn", text: lines.joined(separator: "\n"))),
        context("\(words.subjects(item)), host \(words.context.host)"),
      ])
  }

  private static func context(_ text: String) -> Block {
    Block(type: "context", elements: [Text(type: "mrkdwn", text: escaped(text, limit: textLimit))])
  }

  /// Cut between characters, never within an escape.
  static func escaped(_ text: String, limit: Int) -> String {
    var result = ""
    var count = 0
    for character in text {
      let piece: String =
        switch character {
        case "&": "&amp;"
        case "<": "&lt;"
        case ">": "&gt;"
        default: String(character)
        }
      // Counted as Slack's own JavaScript does, in UTF-16.
      let length = piece.utf16.count
      if count + length > limit - 1 { return result + "…" }
      result += piece
      count += length
    }
    return result
  }
}
