import BackupModel
import Scheduling
import Yams

extension ValueType where Value: Sendable {
  /// One or several: a list, or a value alone.
  static func listed<Element: Sendable & Hashable>(_ element: ValueType<Element>) -> ValueType
  where Value == [Element] {
    ValueType(name: "\(element.name), or a list of them", range: element.range) { place in
      guard case .sequence(let nodes) = place.node else { return element.read(place).map { [$0] } }
      if nodes.isEmpty { place.report("must not be empty") }
      let places = nodes.enumerated().map { place.element($0.element, $0.offset) }
      let values = places.map(element.read)
      for (index, value) in values.enumerated() where value != nil && values[..<index].contains(value) {
        places[index].report("is named twice")
      }
      let read = values.compactMap(\.self)
      return read.isEmpty || read.count < values.count ? nil : read
    }
  }
}

extension ValueType where Value == [String] {
  /// A program and its arguments: no shell takes them apart.
  static let command = ValueType(name: "list of words", range: "an absolute path first") { place in
    guard case .sequence(let nodes) = place.node, !nodes.isEmpty else {
      place.report(
        "must be a list of a program and its arguments", advice: "write [/usr/local/bin/program, argument]")
      return nil
    }
    let places = nodes.enumerated().map { place.element($0.element, $0.offset) }
    guard let path = ValueType<String>.absolutePath.read(places[0]) else { return nil }
    let words = places.dropFirst().map { $0.text(expected: "a word") }
    return words.contains(nil) ? nil : [path] + words.compactMap(\.self)
  }
}

extension ValueType where Value == String {
  /// What stands in an envelope: no name beside it, no angle brackets.
  static let mailAddress = ValueType(name: "mail address", range: nil) { place in
    guard let text = place.text(expected: "a mail address") else { return nil }
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    let isValid =
      parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 254
      && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"<>()[],;:\\\"".utf8.contains($0) }
    guard isValid, !text.hasPrefix("-") else {
      place.report("\"\(text)\" is not a mail address", advice: "write name@example.com alone")
      return nil
    }
    return text
  }
}

extension ValueType where Value == MailServerAddress {
  static let mailServer = ValueType(name: "mail server", range: "smtp://host:port or smtps://host:port") { place in
    guard let text = place.text(expected: "a mail server such as smtp://localhost:25") else { return nil }
    func wrong(_ advice: String) -> MailServerAddress? {
      place.report("\"\(text)\" is not the address of a mail server", advice: advice)
      return nil
    }
    guard let scheme = text.firstRange(of: "://"), ["smtp", "smtps"].contains(text[..<scheme.lowerBound]) else {
      return wrong("write smtp://host:port, or smtps://host:port where TLS comes first")
    }
    let isImplicitTLS = text.hasPrefix("smtps")
    let rest = text[scheme.upperBound...]
    if rest.contains("@") {
      // What stands before it may be a password, which is not shown again.
      place.report("must not hold a user or a password", advice: "name them with user and password")
      return nil
    }
    guard !rest.isEmpty, !rest.contains(where: { "/?# ".contains($0) }) else { return wrong("write smtp://host:port") }
    guard let (host, port) = hostAndPort(rest, standard: isImplicitTLS ? 465 : 25) else {
      return wrong("write smtp://host:port, with a port of 1 to 65535")
    }
    return MailServerAddress(host: host, port: port, isImplicitTLS: isImplicitTLS)
  }

  private static func hostAndPort(_ text: Substring, standard: Int) -> (String, Int)? {
    if text.first == "[" {
      guard let close = text.firstIndex(of: "]") else { return nil }
      let host = String(text[text.index(after: text.startIndex)..<close])
      let rest = text[text.index(after: close)...]
      if rest.isEmpty { return (host, standard) }
      guard rest.first == ":", let port = Int(rest.dropFirst()), (1...65535).contains(port) else { return nil }
      return (host, port)
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 1 { return (String(parts[0]), standard) }
    guard parts.count == 2, !parts[0].isEmpty, let port = Int(parts[1]), (1...65535).contains(port) else { return nil }
    return (String(parts[0]), port)
  }
}

extension ValueType where Value == AddressSource {
  static let webAddress = ValueType(name: "address, or place of a secret", range: "https:// or http://") { place in
    guard case .scalar = place.node else { return ValueType<SecretSource>.secret.read(place).map { .secret($0) } }
    guard let text = place.text(expected: "an address such as https://example.com/alerts") else { return nil }
    let rest = text.firstRange(of: "://").map { text[$0.upperBound...] }
    guard text.hasPrefix("https://") || text.hasPrefix("http://"), let rest, !rest.isEmpty,
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else {
      place.report("is not an address of the web", advice: "write https://example.com/alerts")
      return nil
    }
    guard !rest.prefix(while: { $0 != "/" }).contains("@") else {
      place.report(
        "must not hold a password", advice: "keep the whole address as a secret: {file: …} or {credential: …}")
      return nil
    }
    return .plain(text)
  }
}

extension ValueType where Value == Int {
  /// Minutes since midnight.
  static let timeOfDay = ValueType(name: "time of day", range: "\"00:00\" to \"23:59\"") { place in
    guard let text = place.text(expected: "a time of day in quotes, such as \"22:00\"") else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1].utf8.count == 2, (1...2).contains(parts[0].utf8.count), let hour = Int(parts[0]),
      let minute = Int(parts[1]), (0..<24).contains(hour), (0..<60).contains(minute)
    else {
      // Unquoted 22:00 is a number to base 60 for some readers of YAML; here it is text all the same.
      place.report("\"\(text)\" is not a time of day", advice: "write it in quotes, such as \"22:00\"")
      return nil
    }
    return hour * 60 + minute
  }
}

extension ValueType where Value == QuietHoursSettings {
  static let quietHours = ValueType(name: "mapping of `from`, `to`, `timezone` and `critical`", range: nil) { place in
    guard let reader = MappingReader(place, keys: QuietHoursKeys.keys) else { return nil }
    let begin = reader.value(QuietHoursKeys.from)
    let end = reader.value(QuietHoursKeys.to)
    let zone = reader.has(QuietHoursKeys.timezone) ? reader.value(QuietHoursKeys.timezone) : hostZone(place)
    let critical = reader.value(QuietHoursKeys.critical)
    guard let begin, let end, let zone, let critical else { return nil }
    if begin == end {
      place.report("begin when they end")
      return nil
    }
    return QuietHoursSettings(begin: begin, end: end, timeZone: zone, critical: critical)
  }

  private static func hostZone(_ place: Place) -> TimeZoneRules? {
    do throws(SchedulingError) { return try TimeZoneRules.local() } catch {
      place.report("the host's time zone cannot be used: \(error.summary)", advice: "name one with timezone")
      return nil
    }
  }
}
