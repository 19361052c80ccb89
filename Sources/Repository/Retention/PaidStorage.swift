internal import BackupModel
internal import Storage

/// Objects of which nobody needs anything any more, and which cost the same until a minimum of days is over: they stay
/// so long, in case somebody does.
struct PaidStorage {
  private let now: Timestamp
  private var count = 0
  private var bytes: Int64 = 0
  /// When the last of them may go, and the class that asks for most.
  private var until: Timestamp?
  private var longest: StorageClass?

  init(_ now: Timestamp) { self.now = now }

  /// Whether an object is still paid for; counted then.
  mutating func holds(_ object: Listing.Object) -> Bool {
    guard let storageClass = object.storageClass, storageClass.minimumDays > 0, let written = object.modified else {
      return false
    }
    let end = written + .seconds(86400 * Int64(storageClass.minimumDays))
    if end <= now { return false }
    count += 1
    bytes += object.size
    until = max(until ?? end, end)
    if storageClass.minimumDays > longest?.minimumDays ?? 0 { longest = storageClass }
    return true
  }

  func report(_ kind: String, _ name: String? = nil, in report: inout PruneReport) {
    guard let until, let longest else { return }
    report.add(
      .wait, kind, name, count: count, bytes: bytes,
      "nothing refers to them; class \(longest) is paid for \(longest.minimumDays) days, the last until \(until)")
  }
}
