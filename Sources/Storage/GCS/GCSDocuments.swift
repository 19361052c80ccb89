internal import Foundation

/// An object as the JSON API describes it.
/// - SeeAlso: Google, "Cloud Storage JSON API: Objects".
struct GCSObject: Decodable {
  /// Of which the answer may be a part: those asked for.
  static let fields = "name,size,timeCreated,storageClass"
  /// Of a version.
  static let versionFields = fields + ",generation,timeDeleted"

  var name: String
  /// Bytes, from 0.
  var size: Int64
  /// RFC 3339; `updated` would move with the storage class.
  var timeCreated: String?
  var storageClass: String?
  var md5Hash: String?
  var metadata: [String: String]?
  /// Which version it is; a later one has a larger number.
  var generation: Int64?
  /// RFC 3339; since when another version, or none, is the object.
  var timeDeleted: String?

  private enum CodingKeys: String, CodingKey {
    case name, size, timeCreated, storageClass, md5Hash, metadata, generation, timeDeleted
  }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    name = try fields.decode(String.self, forKey: .name)
    // 64 bits are text in Google's JSON.
    guard let size = Int64(try fields.decode(String.self, forKey: .size)), size >= 0 else {
      throw DecodingError.dataCorruptedError(forKey: .size, in: fields, debugDescription: "not a number of bytes")
    }
    self.size = size
    timeCreated = try fields.decodeIfPresent(String.self, forKey: .timeCreated)
    storageClass = try fields.decodeIfPresent(String.self, forKey: .storageClass)
    md5Hash = try fields.decodeIfPresent(String.self, forKey: .md5Hash)
    metadata = try fields.decodeIfPresent([String: String].self, forKey: .metadata)
    generation = try fields.decodeIfPresent(String.self, forKey: .generation).flatMap { Int64($0) }
    timeDeleted = try fields.decodeIfPresent(String.self, forKey: .timeDeleted)
  }
}

/// A page of a listing.
struct GCSListing: Decodable {
  static let fields = fields(GCSObject.fields)
  static let versionFields = fields(GCSObject.versionFields)
  private static func fields(_ ofItems: String) -> String { "kind,nextPageToken,prefixes,items(\(ofItems))" }

  /// An empty page says nothing else of what it is.
  var kind: Kind
  var items: [GCSObject]?
  var prefixes: [String]?
  var nextPageToken: String?

  enum Kind: String, Decodable { case objects = "storage#objects" }
}

/// What a bucket is set to.
/// - SeeAlso: Google, "Cloud Storage JSON API: Buckets".
struct GCSBucket: Decodable {
  static let fields = "kind,versioning,lifecycle"

  var kind: Kind
  var versioning: Versioning?
  var lifecycle: Lifecycle?

  enum Kind: String, Decodable { case bucket = "storage#bucket" }
  struct Versioning: Decodable { var enabled: Bool }
  struct Lifecycle: Decodable { var rule: [Rule]? }
  struct Rule: Decodable {
    var action: Action?
    var condition: Condition?
  }
  struct Action: Decodable { var type: String? }
  struct Condition: Decodable {
    var isLive: Bool?
    var numNewerVersions: Int?
    var daysSinceNoncurrentTime: Int?
    var noncurrentTimeBefore: String?
  }

  var isVersioned: Bool { versioning?.enabled == true }
  /// Whether a rule takes versions away that are no longer the object.
  var isSwept: Bool {
    (lifecycle?.rule ?? []).contains { rule in
      guard rule.action?.type == "Delete", let condition = rule.condition else { return false }
      return condition.isLive == false || condition.numNewerVersions != nil
        || condition.daysSinceNoncurrentTime != nil || condition.noncurrentTimeBefore != nil
    }
  }
}

/// Why the server refused.
struct GCSRefusal: Decodable {
  var error: Content
  struct Content: Decodable {
    var message: String?
    var errors: [Cause]?
  }
  struct Cause: Decodable {
    var reason: String?
  }
}

enum GCSDocument {
  /// - Returns: Nil for what is not such a document.
  static func parse<Document: Decodable>(_ type: Document.Type, _ bytes: [UInt8]) -> Document? {
    try? JSONDecoder().decode(type, from: Data(bytes))
  }
}
