internal import Transfer

/// Which bucket of Google Cloud Storage, and how it is spoken to.
public struct GCSSettings: Sendable {
  public var bucket: String
  /// `https://host:port` of a server that is not Google's; nil for Google's.
  public var endpoint: String?
  /// Components before every object's name, without slashes at its ends; empty for none.
  public var prefix: String
  /// Storage class of packs; nil for the bucket's own.
  public var packClass: String?
  /// Storage class of everything else; nil for the bucket's own.
  public var otherClass: String?
  /// Names that a page of a listing holds; nil leaves it to the server.
  public var pageSize: Int?

  public init(
    bucket: String, endpoint: String? = nil, prefix: String = "", packClass: String? = nil, otherClass: String? = nil
  ) {
    self.bucket = bucket
    self.endpoint = endpoint
    self.prefix = prefix
    self.packClass = packClass
    self.otherClass = otherClass
  }

  /// The server, without a slash at its end.
  private var origin: String {
    let text = endpoint ?? "https://storage.googleapis.com"
    let origin = text.hasSuffix("/") ? String(text.dropLast()) : text
    return origin.contains("://") ? origin : "https://" + origin
  }

  /// What the bucket is set to.
  var document: String { "\(origin)/storage/v1/b/\(PercentEncoding.encoded(bucket))" }

  /// Where the bucket's objects are listed; one of them, where a key is given.
  func objects(_ key: String? = nil) -> String {
    let all = document + "/o"
    return key.map { all + "/" + PercentEncoding.encoded($0) } ?? all
  }

  /// Where new objects go.
  var uploads: String { "\(origin)/upload/storage/v1/b/\(PercentEncoding.encoded(bucket))/o" }
}
