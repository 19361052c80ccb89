internal import Foundation

/// An object as the JSON API describes it.
/// - SeeAlso: Google, "Cloud Storage JSON API: Objects".
struct GCSObject: Decodable {
  /// Of which the answer may be a part: those asked for.
  static let fields = "name,size,timeCreated,storageClass"

  var name: String
  /// Bytes, from 0.
  var size: Int64
  /// RFC 3339; `updated` would move with the storage class.
  var timeCreated: String?
  var storageClass: String?
  var md5Hash: String?
  var metadata: [String: String]?

  private enum CodingKeys: String, CodingKey { case name, size, timeCreated, storageClass, md5Hash, metadata }

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
  }
}

/// A page of a listing.
struct GCSListing: Decodable {
  static let fields = "kind,nextPageToken,prefixes,items(\(GCSObject.fields))"

  /// An empty page says nothing else of what it is.
  var kind: Kind
  var items: [GCSObject]?
  var prefixes: [String]?
  var nextPageToken: String?

  enum Kind: String, Decodable { case objects = "storage#objects" }
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
