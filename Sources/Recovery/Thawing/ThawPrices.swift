public import BackupModel
public import Storage

/// What Amazon asks for thawing and how long it takes: prices of us-east-1 as its lists had them, written down without
/// looking them up again, and without what leaves the region. An estimate for a person to decide by, not a bill.
/// - SeeAlso: AWS, "Amazon S3 pricing", "Archive retrieval options"; `docs/operations/archive.md`.
public struct ThawPrice: Sendable, Hashable {
  /// Dollars for each GB (10^9 bytes) and for each 1000 requests.
  public var perGB: Double
  public var perThousand: Double
  /// Until everything is there: at least, and usually at most.
  public var minutes: ClosedRange<Int>

  /// Dollars a month for each GB of the copy that is thawed.
  static let copyPerGBMonth = 0.023

  /// - Returns: Nil where the class has no such tier.
  public static func of(_ storageClass: StorageClass, _ tier: ThawTier) -> ThawPrice? {
    switch (storageClass.name, tier) {
    case ("GLACIER", .expedited): ThawPrice(perGB: 0.03, perThousand: 10, minutes: 1...5)
    case ("GLACIER", .standard): ThawPrice(perGB: 0.01, perThousand: 0.05, minutes: 180...300)
    case ("GLACIER", .bulk): ThawPrice(perGB: 0, perThousand: 0, minutes: 300...720)
    case ("DEEP_ARCHIVE", .standard): ThawPrice(perGB: 0.02, perThousand: 0.1, minutes: 540...720)
    case ("DEEP_ARCHIVE", .bulk): ThawPrice(perGB: 0.0025, perThousand: 0.025, minutes: 720...2880)
    default: nil
    }
  }
}
