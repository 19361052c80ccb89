/// What a provider's word for a class of storage means.
/// - SeeAlso: AWS, "Understanding and managing Amazon S3 storage classes"; Google, "Storage classes".
public struct StorageClass: Sendable, Hashable, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public var description: String { name }

  /// Whether an object has to be thawed before it can be read.
  public var isCold: Bool { name == "GLACIER" || name == "DEEP_ARCHIVE" }

  /// Days that are paid for, also where an object is deleted before.
  public var minimumDays: Int {
    switch name {
    case "STANDARD_IA", "ONEZONE_IA", "NEARLINE": 30
    case "GLACIER", "GLACIER_IR", "COLDLINE": 90
    case "DEEP_ARCHIVE": 180
    case "ARCHIVE": 365
    default: 0
    }
  }
}
