#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What a method takes: a JSON object whose field names are known, so that a misspelt one is refused.
public protocol VarlinkParameters: Codable, Sendable {
  /// Every field the method takes, the optional ones too.
  static var fields: Set<String> { get }
}

/// Parameters of a method that takes none, and the reply of one that returns nothing.
public struct VarlinkNothing: VarlinkParameters {
  public static let fields: Set<String> = []
  public init() {}
}

/// One call as it came over the socket. The parameters stay bytes until the method's own type decodes them.
/// - SeeAlso: <https://varlink.org/Method-Call>
public struct VarlinkRequest: Sendable {
  /// Interface and method: `io.backupd.Control.Ping`.
  public let method: String
  /// The caller takes several replies.
  public let more: Bool
  /// The caller takes none.
  public let oneway: Bool
  private let message: [UInt8]

  private struct Envelope: Codable {
    var method: String
    var more: Bool?
    var oneway: Bool?
    var upgrade: Bool?
  }
  private struct Outgoing<Parameters: Encodable>: Encodable {
    var method: String
    var parameters: Parameters
    var more: Bool?
    var oneway: Bool?
  }
  private struct Incoming<Parameters: Decodable>: Decodable {
    var parameters: Parameters?
  }

  /// - Parameter message: JSON without the closing NUL.
  /// - Throws: ``VarlinkError/malformed(_:)`` for anything that is not a Varlink call.
  public init(decoding message: [UInt8]) throws(VarlinkError) {
    let envelope: Envelope
    do {
      envelope = try JSONDecoder().decode(Envelope.self, from: Data(message))
    } catch {
      throw .malformed("A call is a JSON object with a text \"method\".")
    }
    guard envelope.upgrade != true else { throw .malformed("The connection cannot be upgraded to another protocol.") }
    method = envelope.method
    more = envelope.more ?? false
    oneway = envelope.oneway ?? false
    self.message = message
  }

  /// The interface part of the method: everything before the last dot.
  public var interface: String {
    method.lastIndex(of: ".").map { String(method[..<$0]) } ?? ""
  }

  /// - Throws: ``VarlinkErrorReply`` `org.varlink.service.InvalidParameter` naming the field that is missing, unknown
  ///   or of another type.
  public func parameters<Parameters: VarlinkParameters>(as type: Parameters.Type) throws -> Parameters {
    let decoder = JSONDecoder()
    do {
      let names = try decoder.decode(Incoming<FieldNames>.self, from: Data(message)).parameters?.names ?? []
      if let unknown = names.first(where: { !Parameters.fields.contains($0) }) {
        throw VarlinkErrorReply.invalidParameter(unknown)
      }
      if let parameters = try decoder.decode(Incoming<Parameters>.self, from: Data(message)).parameters {
        return parameters
      }
      return try decoder.decode(Parameters.self, from: Data("{}".utf8))
    } catch let error as DecodingError {
      throw VarlinkErrorReply.invalidParameter(error.fieldName)
    }
  }

  /// The bytes of a call, closing NUL included.
  public static func encode(
    _ method: String, _ parameters: some Encodable, more: Bool = false, oneway: Bool = false
  ) throws -> [UInt8] {
    try VarlinkFraming.encode(
      Outgoing(method: method, parameters: parameters, more: more ? true : nil, oneway: oneway ? true : nil))
  }
}

/// One answer as it came over the socket.
/// - SeeAlso: <https://varlink.org/Method-Call>
public struct VarlinkReply: Sendable {
  /// Another reply follows.
  public let continues: Bool
  /// The full name of the error, where the call met one.
  public let error: String?
  private let message: [UInt8]

  private struct Envelope: Decodable {
    var continues: Bool?
    var error: String?
  }
  private struct Outgoing<Parameters: Encodable>: Encodable {
    var parameters: Parameters
    var continues: Bool?
    var error: String?
  }
  private struct Incoming<Parameters: Decodable>: Decodable {
    var parameters: Parameters?
  }

  /// - Parameter message: JSON without the closing NUL.
  /// - Throws: ``VarlinkError/malformed(_:)`` for anything that is not a Varlink reply.
  public init(decoding message: [UInt8]) throws(VarlinkError) {
    do {
      let envelope = try JSONDecoder().decode(Envelope.self, from: Data(message))
      continues = envelope.continues ?? false
      error = envelope.error
    } catch {
      throw .malformed("A reply is a JSON object.")
    }
    self.message = message
  }

  /// - Throws: ``VarlinkError/malformed(_:)`` where the parameters have another shape.
  public func parameters<Parameters: Decodable>(as type: Parameters.Type) throws(VarlinkError) -> Parameters {
    do {
      if let parameters = try JSONDecoder().decode(Incoming<Parameters>.self, from: Data(message)).parameters {
        return parameters
      }
      return try JSONDecoder().decode(Parameters.self, from: Data("{}".utf8))
    } catch {
      let field = (error as? DecodingError)?.fieldName ?? "parameters"
      throw .malformed("The reply's field \"\(field)\" is missing or of another type than expected.")
    }
  }

  /// The bytes of a reply, closing NUL included.
  public static func encode(_ parameters: some Encodable, continues: Bool = false) throws -> [UInt8] {
    try VarlinkFraming.encode(Outgoing(parameters: parameters, continues: continues ? true : nil))
  }
  static func encode(error: String, _ parameters: some Encodable) throws -> [UInt8] {
    try VarlinkFraming.encode(Outgoing(parameters: parameters, error: error))
  }
}

/// The names in a JSON object, whatever their values are.
private struct FieldNames: Decodable {
  struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
  var names: [String]
  init(from decoder: any Decoder) throws {
    names = try decoder.container(keyedBy: Key.self).allKeys.map(\.stringValue).sorted()
  }
}

extension DecodingError {
  /// The field nearest to where decoding stopped.
  fileprivate var fieldName: String {
    let (path, missing): ([any CodingKey], (any CodingKey)?) =
      switch self {
      case .keyNotFound(let key, let context): (context.codingPath, key)
      case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
        (context.codingPath, nil)
      @unknown default: ([], nil)
      }
    let name = (missing ?? path.last { $0.intValue == nil })?.stringValue ?? "parameters"
    return String(name.prefix(120))
  }
}
