internal import Logging

/// Metadata of a log message as text.
enum MetadataText {
  /// The facts of one message, sorted by key; the message's own win over the logger's.
  static func merged(
    _ handler: Logger.Metadata, _ provider: Logger.MetadataProvider?, _ event: LogEvent
  ) -> [(key: String, value: String)] {
    var all = handler
    if let provided = provider?.get() { all.merge(provided) { $1 } }
    if let own = event.metadata { all.merge(own) { $1 } }
    if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
    return all.sorted { $0.key < $1.key }.map { ($0.key, text($0.value)) }
  }

  static func text(_ value: Logger.MetadataValue) -> String {
    switch value {
    case .string(let text): text
    case .stringConvertible(let value): value.description
    case .array(let values): "[" + values.map(text).joined(separator: ", ") + "]"
    case .dictionary(let values):
      "{" + values.sorted { $0.key < $1.key }.map { "\($0.key): \(text($0.value))" }.joined(separator: ", ") + "}"
    }
  }

  /// `message key=value key="two words"`; values of several lines follow below, indented.
  static func line(message: String, facts: [(key: String, value: String)]) -> String {
    var line = message
    var below = ""
    for (key, value) in facts {
      if value.contains(where: \.isNewline) {
        below += "\n  \(key):"
        for part in value.split(whereSeparator: \.isNewline) { below += "\n    \(part)" }
      } else if value.isEmpty || value.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) {
        let quoted = value.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
        line += " \(key)=\"\(quoted)\""
      } else {
        line += " \(key)=\(value)"
      }
    }
    return line + below
  }
}
