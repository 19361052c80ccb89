public import BackupModel
import DurableFiles
import Foundation

/// A value in a JSON file beside the version of its form: `{"version": 1, …}`, the value's keys at the same level.
struct Versioned<Value: Codable>: Codable {
  var value: Value

  private enum Key: String, CodingKey { case version }

  init(_ value: Value) { self.value = value }
  init(from decoder: any Decoder) throws {
    // The version first: the rest of a newer file may have any form.
    let version = try decoder.container(keyedBy: Key.self).decode(Int.self, forKey: .version)
    guard version == 1 else { throw NewerVersion(version: version) }
    value = try Value(from: decoder)
  }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(1, forKey: .version)
    try value.encode(to: encoder)
  }
}

struct NewerVersion: Error { var version: Int }

/// Reading and writing of one state file: readable JSON with the version of its form.
public enum StateFile {
  /// - Throws: `FileError`. The old content stays until the new is durable.
  public static func write<Value: Codable>(_ value: Value, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try DurableFile.replace(path, with: Array(encoder.encode(Versioned(value))) + [0x0A])
  }

  /// - Returns: Nil where there is no such file.
  /// - Throws: ``JobStateError``; a file that cannot be understood has been moved aside then.
  public static func read<Value: Codable>(_ type: Value.Type, from path: String, now: Timestamp) throws(JobStateError)
    -> Value?
  {
    let bytes: [UInt8]
    do {
      bytes = try DurableFile.read(path)
    } catch {
      if error.isMissing { return nil }
      throw .file(error)
    }
    do {
      return try JSONDecoder().decode(Versioned<Value>.self, from: Data(bytes)).value
    } catch let error as NewerVersion {
      throw .versionUnknown(path: path, version: error.version, keptAs: keepAside(path, now: now))
    } catch {
      throw .damaged(path: path, problem: problem(error), keptAs: keepAside(path, now: now))
    }
  }

  /// Renames a file that cannot be used, so that it neither stands in the way nor is lost.
  /// - Returns: Its new name; nil where it could not be renamed.
  static func keepAside(_ path: String, now: Timestamp) -> String? {
    var aside = "\(path).damaged-\(now.compact)"
    var number = 1
    while DurableFile.exists(aside) {
      number += 1
      aside = "\(path).damaged-\(now.compact)-\(number)"
    }
    return rename(path, aside) == 0 ? aside : nil
  }

  /// What a decoder found, in one sentence.
  static func problem(_ error: any Error) -> String {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.isEmpty ? "" : " at \"" + context.codingPath.map(\.stringValue).joined(separator: ".") + "\""
    }
    return switch error {
    case DecodingError.keyNotFound(let key, let context): "The key \"\(key.stringValue)\" is missing\(place(context))."
    case DecodingError.typeMismatch(_, let context): "A value has the wrong type\(place(context))."
    case DecodingError.valueNotFound(_, let context): "A value is missing\(place(context))."
    case DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty: "It is not valid JSON."
    case DecodingError.dataCorrupted(let context): "A value cannot be read\(place(context))."
    case let error as any OperatorError: error.summary + "."
    default: String(describing: error)
    }
  }
}
