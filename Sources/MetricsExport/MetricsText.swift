/// Values of metrics at one moment, and their text in Prometheus' exposition format.
/// - SeeAlso: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.
public struct MetricsText: Sendable {
  private struct Sample: Sendable {
    var values: [String]
    var value: Double
  }
  private var samples: [String: [Sample]] = [:]

  public init() {}

  /// A metric without labels.
  public mutating func add(_ metric: Metric, _ value: Double?) { add(metric, [], value) }

  /// - Parameters:
  ///   - labels: Values of the metric's labels, in their order.
  ///   - value: Nil where it is not known: no sample.
  public mutating func add(_ metric: Metric, _ labels: [String], _ value: Double?) {
    precondition(labels.count == metric.labels.count, "labels of \(metric.name)")
    guard let value else { return }
    // Two series of one name would make a scrape fail as a whole: the later counts.
    samples[metric.name, default: []].removeAll { $0.values == labels }
    samples[metric.name, default: []].append(Sample(values: labels, value: value))
  }

  /// All metrics that have a sample, each with its help and type.
  public var text: String {
    var text = ""
    for metric in Metric.all {
      guard let found = samples[metric.name], !found.isEmpty else { continue }
      text += "# HELP \(metric.name) \(Self.escaped(metric.help, quotes: false))\n"
      text += "# TYPE \(metric.name) \(metric.kind.rawValue)\n"
      for sample in found {
        let labels = zip(metric.labels, sample.values).map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }
        let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
        text += "\(metric.name)\(braces) \(Self.number(sample.value))\n"
      }
    }
    return text
  }

  /// Names that have a sample.
  public var names: Set<String> { Set(samples.keys) }

  static func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value) { return "\(whole)" }
    return "\(value)"
  }
}
