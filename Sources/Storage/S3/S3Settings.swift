internal import Transfer

/// How objects are locked when they are put.
/// - SeeAlso: AWS, "Locking objects with Object Lock".
public struct S3Lock: Sendable, Hashable {
  public enum Mode: String, Sendable, Hashable, CaseIterable {
    /// Who has a right of its own may unlock.
    case governance
    /// Nobody may.
    case compliance
  }
  public var mode: Mode
  public var period: Duration
  public init(mode: Mode, period: Duration) {
    self.mode = mode
    self.period = period
  }
}

/// Which bucket, and how it is spoken to.
public struct S3Settings: Sendable {
  public var bucket: String
  public var region: String
  /// `https://host:port` of a server that is not Amazon's; nil for Amazon's of the region.
  public var endpoint: String?
  /// The bucket in the path instead of the host name: what most servers but Amazon's want.
  public var isPathStyle: Bool
  /// Components before every object's name, without slashes at its ends; empty for none.
  public var prefix: String
  /// Of packs, where the server knows several.
  public var packClass: String?
  /// Of everything else, which must be readable at once.
  public var otherClass: String?
  /// What is put is locked so; nil for no lock.
  public var lock: S3Lock?
  /// Names that a page of a listing holds; nil leaves it to the server.
  public var pageSize: Int?

  public init(
    bucket: String, region: String, endpoint: String? = nil, isPathStyle: Bool? = nil, prefix: String = "",
    packClass: String? = nil, otherClass: String? = nil, lock: S3Lock? = nil
  ) {
    self.bucket = bucket
    self.region = region
    self.endpoint = endpoint
    self.isPathStyle = isPathStyle ?? (endpoint != nil)
    self.prefix = prefix
    self.packClass = packClass
    self.otherClass = otherClass
    self.lock = lock
  }

  /// `https` or `http`, and the host that requests go to.
  var origin: (scheme: String, host: String) {
    var scheme = "https"
    var host = "s3.\(region).\(AWSRegion.domain(of: region))"
    if let endpoint, let range = endpoint.firstRange(of: "://") {
      scheme = String(endpoint[..<range.lowerBound])
      host = String(endpoint[range.upperBound...].prefix { $0 != "/" })
    } else if let endpoint {
      host = endpoint
    }
    return (scheme, isPathStyle ? host : "\(bucket).\(host)")
  }

  /// The encoded path of an object; of the bucket for an empty key.
  func path(_ key: String) -> String {
    let encoded = PercentEncoding.encoded(key, slash: true)
    return isPathStyle ? "/\(PercentEncoding.encoded(bucket))" + (key.isEmpty ? "" : "/" + encoded) : "/" + encoded
  }
}
