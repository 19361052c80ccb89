import BackupModel
import Yams

/// Reads one mapping of the file: refuses keys that are not declared, then gives the declared ones by their type.
struct MappingReader {
  let place: Place
  private let keys: [KeyDeclaration]
  private var values: [String: Node] = [:]

  /// - Parameters:
  ///   - elsewhere: Names that are keys in similar mappings, and what to say of them here.
  /// - Returns: Nil, and a problem reported, where it is no mapping. Nothing at all counts as an empty mapping.
  init?(_ place: Place, keys: [KeyDeclaration], elsewhere: (names: Set<String>, problem: String)? = nil) {
    self.place = place
    self.keys = keys
    if place.isNull { return }
    guard let pairs = Self.pairs(place) else { return nil }
    for (name, key, node) in pairs {
      let here = place.child(key, name)
      if let declaration = keys.first(where: { $0.name == name }) {
        if declaration.isRefused {
          here.report("is not supported by this version")
        } else {
          values[name] = node
        }
      } else if let elsewhere, elsewhere.names.contains(name) {
        here.report(elsewhere.problem)
      } else {
        here.report("unknown key", advice: Self.advice(unknown: name, keys: keys))
      }
    }
  }

  private static func advice(unknown name: String, keys: [KeyDeclaration]) -> String? {
    // What remains of an unquoted "0 2 * * 1,3" in a mapping written with braces.
    if name.utf8.allSatisfy({ "0123456789*/-".utf8.contains($0) }) {
      return "put a cron expression with commas in quotes, as in schedule: \"0 2 * * 1,3\""
    }
    return Suggestion.text(for: name, in: keys.map(\.name))
      ?? "known here are " + keys.filter { !$0.isRefused }.map(\.name).joined(separator: ", ")
  }

  /// Keys with their names, in the order of the file; nil where it is no mapping.
  static func pairs(_ place: Place) -> [(name: String, key: Node, value: Node)]? {
    guard case .mapping(let mapping) = place.node else {
      place.report("must be a mapping of keys to values, not \(place.shape)")
      return nil
    }
    return mapping.compactMap { key, value in
      guard case .scalar(let scalar) = key else {
        place.child(key, "?").report("a key must be a single word")
        return nil
      }
      return scalar.string.contains(ConfigurationDocument.duplicateMark) ? nil : (scalar.string, key, value)
    }
  }

  func has<Value>(_ key: Key<Value>) -> Bool { values[key.name] != nil }

  /// Where a key's value stands, or the mapping where the key is missing.
  func place<Value>(of key: Key<Value>) -> Place {
    values[key.name].map { place.child($0, key.name) } ?? place
  }

  /// The value of a key, its standard where it is missing, nil where there is none or it is wrong.
  func value<Value>(_ key: Key<Value>) -> Value? {
    precondition(keys.contains { $0.name == key.name }, "read a key that is not declared: \(key.name)")
    if let node = values[key.name] { return key.type.read(place.child(node, key.name)) }
    switch key.presence {
    case .required:
      place.report("the key \"\(key.name)\" is missing")
      return nil
    case .standard(let text):
      let node = Node.scalar(.init(text, .implicit, .any))
      return key.type.read(place.child(node, key.name))
    case .optional, .computed: return nil
    }
  }

  /// The entries of a mapping from names the operator chose.
  static func entries<ID: Name>(_ place: Place, as type: ID.Type) -> [(id: ID, place: Place)] {
    if place.isNull { return [] }
    return (pairs(place) ?? []).compactMap { name, key, node in
      do throws(FormatError) {
        return (try ID(name), place.child(node, name))
      } catch {
        place.child(key, name).report("is not a valid \(ID.kind)", advice: error.detail.map(lowerCased))
        return nil
      }
    }
  }
}

/// The text of an error as part of a longer line: its first letter small, no full stop.
func lowerCased(_ sentence: String) -> String {
  let text = sentence.hasSuffix(".") ? sentence.dropLast() : Substring(sentence)
  return text.prefix(1).lowercased() + text.dropFirst()
}
