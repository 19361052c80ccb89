internal import BackupModel
internal import Foundation
internal import Transfer

extension S3Store: ThawingStore {
  public func thawState(of name: ObjectName) throws -> ThawState {
    try calling("look for", name) {
      guard let response = try head(name) else { throw StorageError.missing(name, in: location) }
      return Self.thawState(response)
    }
  }

  /// - Parameter response: To a `HEAD` of the object.
  /// - SeeAlso: AWS, "HeadObject", `x-amz-restore` and `x-amz-archive-status`.
  static func thawState(_ response: HTTPResponse) -> ThawState {
    let isCold = StorageClass(response.headers["x-amz-storage-class"] ?? "").isCold
    // Of INTELLIGENT_TIERING only what nobody has read for long.
    guard isCold || response.headers["x-amz-archive-status"] != nil else { return .warm }
    guard let restore = response.headers["x-amz-restore"] else { return .frozen }
    if restore.contains("ongoing-request=\"true\"") { return .thawing }
    return .thawed(until: expiry(restore))
  }

  /// `ongoing-request="false", expiry-date="Fri, 21 Dec 2026 00:00:00 GMT"`
  private static func expiry(_ header: String) -> Timestamp? {
    guard let start = header.range(of: "expiry-date=\"")?.upperBound else { return nil }
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "GMT")
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
    return formatter.date(from: String(header[start...].prefix { $0 != "\"" })).map {
      Timestamp(seconds: Int64($0.timeIntervalSince1970))
    }
  }

  public func thaw(_ name: ObjectName, days: Int, tier: ThawTier) throws {
    try calling("thaw", name) { try thaw(name, [], days: days, tier: tier) }
  }

  /// Asks for an object, or for the version of it that `query` names.
  /// - SeeAlso: AWS, "RestoreObject".
  func thaw(_ name: ObjectName, _ query: [(name: String, value: String)], days: Int, tier: ThawTier) throws {
    let text = """
      <RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Days>\(days)</Days><GlacierJobParameters>\
      <Tier>\(tier.rawValue.capitalized)</Tier></GlacierJobParameters></RestoreRequest>
      """
    // 409: somebody has asked for it already.
    let response = try sendDocument(
      text, .post, key: key(name.text), query: [("restore", "")] + query, accepted: [409])
    guard response.isSuccess || S3Error(response, bucket: settings.bucket).code == "RestoreAlreadyInProgress" else {
      throw S3Error(response, bucket: settings.bucket)
    }
  }
}
