internal import BackupModel
internal import Foundation
internal import Transfer

extension S3Store: ThawingStore {
  /// - SeeAlso: AWS, "HeadObject", `x-amz-restore`.
  public func thawState(of name: ObjectName) throws -> ThawState {
    try calling("look for", name) {
      guard let response = try head(name) else { throw StorageError.missing(name, in: location) }
      guard StorageClass(response.headers["x-amz-storage-class"] ?? "").isCold else { return .warm }
      guard let restore = response.headers["x-amz-restore"] else { return .frozen }
      if restore.contains("ongoing-request=\"true\"") { return .thawing }
      return .thawed(until: Self.expiry(restore))
    }
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

  /// - SeeAlso: AWS, "RestoreObject".
  public func thaw(_ name: ObjectName, days: Int, tier: ThawTier) throws {
    try calling("thaw", name) {
      let text = """
        <RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Days>\(days)</Days><GlacierJobParameters>\
        <Tier>\(tier.rawValue.capitalized)</Tier></GlacierJobParameters></RestoreRequest>
        """
      // 409: somebody has asked for it already.
      let response = try sendDocument(text, .post, key: key(name.text), query: [("restore", "")], accepted: [409])
      guard response.isSuccess || S3Error(response, bucket: settings.bucket).code == "RestoreAlreadyInProgress" else {
        throw S3Error(response, bucket: settings.bucket)
      }
    }
  }
}
