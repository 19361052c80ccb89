/// Where metrics are asked for. Nobody beyond this host can.
public enum MetricsAddress: Sendable, Hashable, CustomStringConvertible {
  /// 127.0.0.1.
  case loopback(port: UInt16)
  /// ::1.
  case loopback6(port: UInt16)
  case unix(path: String)

  public var description: String {
    switch self {
    case .loopback(let port): "127.0.0.1:\(port)"
    case .loopback6(let port): "[::1]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// The keys below `metrics`.
public struct MetricsSettings: Sendable, Hashable {
  /// A file for node_exporter's collector; nil: none.
  public var textFile: String?
  /// How often it is written.
  public var interval: Duration
  public var listen: MetricsAddress?
}

enum MetricsKeys {
  static let textFile = Key(
    "textfile", .promFile, .optional,
    "A file that node_exporter's textfile collector reads, written as a whole: `/var/lib/prometheus/node-exporter/backupd.prom`. The unit must be allowed to write there."
  )
  static let every = Key("every", .duration("5s", "1h"), .standard("30s"), "How often the text file is written.")
  static let listen = Key(
    "listen", .metricsAddress, .optional,
    "Where `GET /metrics` is answered: `127.0.0.1:9187`, `[::1]:9187` or `unix:/run/backupd/metrics.sock`. There are no passwords, so other addresses are refused."
  )
  static let section = Section(
    path: "metrics", sentence: "Metrics for Prometheus, beside `backupctl metrics`; all optional.",
    keys: [textFile.declaration, every.declaration, listen.declaration])
}

extension ValueType where Value == String {
  static let promFile = ValueType(name: "absolute path", range: "ends in .prom") { place in
    guard let path = absolutePath.read(place) else { return nil }
    guard path.hasSuffix(".prom") else {
      place.report("\"\(path)\" does not end in .prom", advice: "node_exporter reads no other files")
      return nil
    }
    return path
  }
}

extension ValueType where Value == MetricsAddress {
  static let metricsAddress = ValueType(name: "address", range: "loopback or unix socket") { place in
    guard let text = ValueType<String>.text.read(place) else { return nil }
    if text.hasPrefix("unix:") {
      let path = AbsolutePath.normalised(String(text.dropFirst(5)))
      if let path, path.utf8.count <= 107, path != "/" { return .unix(path: path) }
      place.report("\"\(text)\" is not a socket", advice: "write unix: and an absolute path of at most 107 bytes")
      return nil
    }
    for (host, make) in [
      ("127.0.0.1:", { MetricsAddress.loopback(port: $0) }), ("[::1]:", { MetricsAddress.loopback6(port: $0) }),
    ] where text.hasPrefix(host) {
      if let port = UInt16(text.dropFirst(host.count)), port > 0 { return make(port) }
      place.report("\"\(text)\" has no port", advice: "write \(host)9187")
      return nil
    }
    place.report(
      "\"\(text)\" is neither on the loopback interface nor a unix socket",
      advice: "write 127.0.0.1:9187, [::1]:9187 or unix:/run/backupd/metrics.sock; a proxy can let others in")
    return nil
  }
}

extension ConfigurationReader {
  func readMetrics(_ place: Place) -> MetricsSettings {
    let standard = MetricsSettings(textFile: nil, interval: .seconds(30), listen: nil)
    guard let reader = MappingReader(place, keys: MetricsKeys.section.keys) else { return standard }
    let textFile = reader.value(MetricsKeys.textFile)
    let listen = reader.value(MetricsKeys.listen)
    return MetricsSettings(
      textFile: textFile, interval: reader.value(MetricsKeys.every) ?? standard.interval, listen: listen)
  }
}
