import BackupModel

/// A JSON document as it is printed. Keys are written down here and not derived, so that they stay as documented, and
/// what is not known is `null` rather than missing.
enum JSONValue {
  case null
  case bool(Bool)
  /// A number as it is written.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// An object of values that know their own form.
  static func fields(_ fields: KeyValuePairs<String, any JSONConvertible>) -> JSONValue {
    .object(Dictionary(fields.map { ($0.key, $0.value.json) }, uniquingKeysWith: { $1 }))
  }

  static func list(_ values: [some JSONConvertible]) -> JSONValue { .array(values.map(\.json)) }

  /// Indented, keys sorted.
  var text: String {
    var text = ""
    write(into: &text, indent: "")
    return text
  }

  private func write(into text: inout String, indent: String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .number(let value): text += value
    case .string(let value): Self.quote(value, into: &text)
    case .array(let values):
      guard !values.isEmpty else {
        text += "[]"
        return
      }
      let inner = indent + "  "
      for (number, value) in values.enumerated() {
        text += (number == 0 ? "[\n" : ",\n") + inner
        value.write(into: &text, indent: inner)
      }
      text += "\n" + indent + "]"
    case .object(let fields):
      guard !fields.isEmpty else {
        text += "{}"
        return
      }
      let inner = indent + "  "
      for (number, field) in fields.sorted(by: { $0.key < $1.key }).enumerated() {
        text += (number == 0 ? "{\n" : ",\n") + inner
        Self.quote(field.key, into: &text)
        text += ": "
        field.value.write(into: &text, indent: inner)
      }
      text += "\n" + indent + "}"
    }
  }

  private static func quote(_ string: String, into text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        text += "\\u" + Hexadecimal.padded(UInt64(scalar.value), digits: 4)
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

/// What has a form in JSON.
protocol JSONConvertible {
  var json: JSONValue { get }
}

extension JSONValue: JSONConvertible {
  var json: JSONValue { self }
}
extension Optional: JSONConvertible where Wrapped: JSONConvertible {
  var json: JSONValue { self?.json ?? .null }
}
extension Array: JSONConvertible where Element: JSONConvertible {
  var json: JSONValue { .list(self) }
}
extension Dictionary: JSONConvertible where Key == String, Value: JSONConvertible {
  var json: JSONValue { .object(mapValues(\.json)) }
}
extension String: JSONConvertible {
  var json: JSONValue { .string(self) }
}
extension Bool: JSONConvertible {
  var json: JSONValue { .bool(self) }
}
extension JSONConvertible where Self: BinaryInteger {
  var json: JSONValue { .number(description) }
}
extension Int: JSONConvertible {}
extension Int32: JSONConvertible {}
extension Int64: JSONConvertible {}
extension UInt16: JSONConvertible {}
extension UInt32: JSONConvertible {}
extension UInt64: JSONConvertible {}
extension Double: JSONConvertible {
  var json: JSONValue { isFinite ? .number(description) : .null }
}
extension ByteCount: JSONConvertible {
  var json: JSONValue { .number("\(value)") }
}
extension TimelineID: JSONConvertible {
  var json: JSONValue { .number("\(value)") }
}

/// Values that are strings in JSON, as they print themselves.
protocol JSONText: JSONConvertible, CustomStringConvertible {}
extension JSONText {
  var json: JSONValue { .string(description) }
}
extension LSN: JSONText {}
extension Timestamp: JSONText {}
extension ClusterID: JSONText {}
extension JobID: JSONText {}
extension AlertChannelID: JSONText {}
extension StoreID: JSONText {}
extension TierID: JSONText {}
extension RunID: JSONText {}
extension BackupID: JSONText {}
extension SystemIdentifier: JSONText {}
extension RandomID: JSONText {}

/// Words of an enumeration.
extension JSONConvertible where Self: RawRepresentable, RawValue == String {
  var json: JSONValue { .string(rawValue) }
}
extension BackupKind: JSONConvertible {}
extension RunOutcome: JSONConvertible {}
extension RunTrigger: JSONConvertible {}
extension Condition.Severity: JSONConvertible {}
extension CheckResult.Verdict: JSONConvertible {}
extension RecoveryRoad.Means: JSONConvertible {}
extension ObjectiveState: JSONConvertible {}
