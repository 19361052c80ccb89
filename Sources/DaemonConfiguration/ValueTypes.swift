import BackupModel
import Scheduling
import Yams

#if canImport(Glibc)
  import Glibc
#endif

extension ValueType where Value == String {
  static let text = ValueType(name: "text", range: nil) { place in
    guard let text = place.text(expected: "text") else { return nil }
    if text.isEmpty { place.report("must not be empty") }
    return text.isEmpty ? nil : text
  }

  /// Normalised: no doubled or trailing slash, no `.`; `..` is refused, since it cannot be compared.
  static let absolutePath = ValueType(name: "absolute path", range: nil) { place in
    guard let text = place.text(expected: "an absolute path") else { return nil }
    guard text.hasPrefix("/") else {
      place.report("\"\(text)\" is not an absolute path", advice: "write it from \"/\" on")
      return nil
    }
    guard let path = AbsolutePath.normalised(text) else {
      place.report("\"\(text)\" is not a usable path", advice: "write it without \"..\" and in less than 4096 bytes")
      return nil
    }
    return path
  }

  static let socketPath = ValueType(name: "absolute path", range: "at most 107 bytes") { place in
    guard let path = absolutePath.read(place) else { return nil }
    guard path.utf8.count <= 107 else {
      place.report("is longer than the 107 bytes a socket's path may have")
      return nil
    }
    return path
  }

  /// `http` or `https`, a host, perhaps a port, and no more.
  static let endpoint = ValueType(name: "endpoint", range: "https://host:port") { place in
    guard let text = ValueType.text.read(place) else { return nil }
    let parts = text.firstRange(of: "://").map { (text[..<$0.lowerBound], text[$0.upperBound...]) }
    let host = parts?.1.hasSuffix("/") == true ? parts?.1.dropLast() : parts?.1
    guard let scheme = parts?.0, ["http", "https"].contains(scheme), let host, !host.isEmpty,
      !host.contains(where: { "/?#@ ".contains($0) })
    else {
      place.report("\"\(text)\" is not an endpoint", advice: "write https://host or https://host:port")
      return nil
    }
    return "\(scheme)://\(host)"
  }

  /// Components of what object names may hold, without slashes at the ends.
  static let objectPrefix = ValueType(name: "prefix", range: "letters, digits, `.`, `-`, `_` and `/`") { place in
    guard let text = ValueType.text.read(place) else { return nil }
    let trimmed = text.split(separator: "/", omittingEmptySubsequences: true)
    let isValid =
      !trimmed.isEmpty
      && trimmed.allSatisfy { part in
        part != "." && part != ".."
          && part.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
              || [0x2D, 0x2E, 0x5F].contains(byte)
          }
      }
    if !isValid {
      place.report(
        "\"\(text)\" is not a usable prefix", advice: "use letters, digits, \".\", \"-\", \"_\" and \"/\"")
    }
    return isValid ? trimmed.joined(separator: "/") : nil
  }

  static let slotName = ValueType(name: "slot name", range: "1 to 63 of a-z, 0-9 and _") { place in
    guard let text = place.text(expected: "a slot name") else { return nil }
    let isValid =
      (1...63).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    if !isValid {
      place.report("\"\(text)\" is not a slot name", advice: "use 1 to 63 lower-case letters, digits and underscores")
    }
    return isValid ? text : nil
  }

  /// A connection string of libpq, without the password in it.
  static let connection = ValueType(name: "libpq connection string", range: nil) { place in
    guard let text = ValueType.text.read(place) else { return nil }
    if ConnectionText.holdsPassword(text) {
      place.report(
        "must not hold a password",
        advice: "write password: {file: …}, {credential: …} or {environment: …} beside it, or use ~/.pgpass")
      return nil
    }
    return text
  }
}

extension ValueType where Value == Int {
  static func count(_ range: ClosedRange<Int>) -> ValueType {
    ValueType(name: "whole number", range: "\(range.lowerBound) to \(range.upperBound)") { place in
      guard let text = place.text(expected: "a whole number") else { return nil }
      guard place.plainText != nil, let value = Int(text) else {
        place.report("\"\(text)\" is not a whole number")
        return nil
      }
      guard range.contains(value) else {
        place.report("\(value) is not between \(range.lowerBound) and \(range.upperBound)")
        return nil
      }
      return value
    }
  }
}

extension ValueType where Value == Bool {
  static let flag = ValueType(name: "true or false", range: nil) { place in
    guard let text = place.text(expected: "true or false") else { return nil }
    guard place.plainText != nil, text == "true" || text == "false" else {
      place.report("\"\(text)\" is neither true nor false")
      return nil
    }
    return text == "true"
  }
}

extension ValueType where Value == Duration {
  static func duration(_ low: String, _ high: String) -> ValueType {
    ValueType(name: "duration", range: "\(low) to \(high)") { place in
      guard let text = place.text(expected: "a duration such as 5m") else { return nil }
      do throws(FormatError) {
        let value = try DurationText.parse(text)
        if value >= (try DurationText.parse(low)), value <= (try DurationText.parse(high)) { return value }
        place.report("\(text) is not between \(low) and \(high)")
      } catch {
        let advice = Int(text).map { "write a unit, such as \($0)s, \($0)m or \($0)d" }
        place.report(error.summary, advice: advice ?? error.detail.map(lowerCased))
      }
      return nil
    }
  }
}

extension ValueType where Value == ByteCount {
  static func size(_ low: String, _ high: String) -> ValueType {
    ValueType(name: "size", range: "\(low) to \(high)") { place in
      guard let text = place.text(expected: "a size such as 32MiB") else { return nil }
      return bytes(text, low, high, place)
    }
  }

  /// Bytes a second: a size with or without `/s`.
  static func rate(_ low: String, _ high: String) -> ValueType {
    ValueType(name: "rate", range: "\(low)/s to \(high)/s") { place in
      guard let text = place.text(expected: "a rate such as 200MiB/s") else { return nil }
      return bytes(text.hasSuffix("/s") ? String(text.dropLast(2)) : text, low, high, place)
    }
  }

  private static func bytes(_ text: String, _ low: String, _ high: String, _ place: Place) -> ByteCount? {
    do throws(FormatError) {
      let value = try ByteCount(text)
      if value >= (try ByteCount(low)), value <= (try ByteCount(high)) { return value }
      place.report("\(text) is not between \(low) and \(high)")
    } catch {
      place.report(error.summary, advice: error.detail.map(lowerCased))
    }
    return nil
  }
}

extension ValueType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of a few words.
  static func choice() -> ValueType {
    let words = Value.allCases.map(\.rawValue)
    return ValueType(name: "one of " + words.map { "`\($0)`" }.joined(separator: ", "), range: nil) { place in
      guard let text = place.text(expected: "one of " + words.joined(separator: ", ")) else { return nil }
      if let value = Value(rawValue: text) { return value }
      place.report(
        "\"\(text)\" is not one of " + words.joined(separator: ", "), advice: Suggestion.text(for: text, in: words))
      return nil
    }
  }
}

extension ValueType where Value: Name {
  static func name() -> ValueType {
    ValueType(name: Value.kind, range: nil) { place in
      guard let text = place.text(expected: "a \(Value.kind)") else { return nil }
      do throws(FormatError) { return try Value(text) } catch {
        place.report(error.summary, advice: error.detail.map(lowerCased))
        return nil
      }
    }
  }
}

extension ValueType where Value == CronExpression {
  static let schedule = ValueType(name: "cron expression", range: "five fields, or @hourly to @yearly") { place in
    guard let text = place.text(expected: "a cron expression in quotes, such as \"0 2 * * *\"") else { return nil }
    do throws(SchedulingError) { return try CronExpression(text) } catch {
      place.report(
        error.summary + (error.detail.map { ": " + lowerCased($0) } ?? ""), advice: error.hint.map(lowerCased))
      return nil
    }
  }
}

extension ValueType where Value == TimeZoneRules {
  static let timeZone = ValueType(name: "time zone", range: nil) { place in
    guard let text = place.text(expected: "the name of a time zone") else { return nil }
    do throws(SchedulingError) { return try TimeZoneRules(named: text) } catch {
      place.report(error.summary, advice: error.hint.map(lowerCased))
      return nil
    }
  }
}

enum AbsolutePath {
  static func normalised(_ text: String) -> String? {
    let parts = text.split(separator: "/").filter { $0 != "." }
    guard text.hasPrefix("/"), !parts.contains(".."), !text.utf8.contains(0), text.utf8.count < 4096 else { return nil }
    return "/" + parts.joined(separator: "/")
  }

  /// Whether `path` is `directory` or lies in it.
  static func isInside(_ path: String, _ directory: String) -> Bool {
    path == directory || path.hasPrefix(directory == "/" ? "/" : directory + "/")
  }

  /// Without symbolic links, as far as the path exists.
  static func resolved(_ path: String) -> String {
    var existing = path
    while true {
      if let real = realpath(existing, nil) {
        defer { free(real) }
        return normalised(String(cString: real) + path.dropFirst(existing.count)) ?? path
      }
      guard let slash = existing.lastIndex(of: "/"), existing != "/" else { return path }
      existing = slash == existing.startIndex ? "/" : String(existing[..<slash])
    }
  }

  /// Whether two paths lead to one directory, by links or by a mount.
  static func isSame(_ path: String, _ other: String) -> Bool {
    var (status, otherStatus) = (stat(), stat())
    guard stat(path, &status) == 0, stat(other, &otherStatus) == 0 else { return resolved(path) == resolved(other) }
    return status.st_dev == otherStatus.st_dev && status.st_ino == otherStatus.st_ino
  }
}

enum ConnectionText {
  static func holdsPassword(_ text: String) -> Bool {
    let lower = text.lowercased()
    if lower.hasPrefix("postgres://") || lower.hasPrefix("postgresql://") {
      let authority = lower.drop { $0 != ":" }.dropFirst(3).prefix { $0 != "/" && $0 != "?" }
      if let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") { return true }
      return lower.contains("?password=") || lower.contains("&password=")
    }
    var rest = lower[...]
    while let range = rest.firstRange(of: "password") {
      let isWord = range.lowerBound == lower.startIndex || lower[lower.index(before: range.lowerBound)].isWhitespace
      if isWord, lower[range.upperBound...].first(where: { !$0.isWhitespace }) == "=" { return true }
      rest = lower[range.upperBound...]
    }
    return false
  }
}
