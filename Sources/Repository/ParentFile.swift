internal import BackupModel
internal import Cryptography

/// One file as the parent holds it: what its pages were, and which of them may be taken over.
///
/// Read by several workers at once, changed by none.
final class ParentFile: Sendable {
  enum Match {
    /// Another page, or none: it is new.
    case differs
    /// The same page, and it stays where it is.
    case same
    /// The same page, but it must be stored anew: a store lacks the pack it lies in.
    case lost
    /// The same page in a frame that is mostly dead: stored anew where the run can afford it.
    case sparse
  }

  let base: FingerprintCache.Entry?
  let over: FingerprintCache.Entry?
  private let fingerprints: [Fingerprint]
  private let lost: PageSet
  private let sparse: PageSet

  init(
    base: FingerprintCache.Entry?, over: FingerprintCache.Entry?, fingerprints: [Fingerprint], lost: PageSet,
    sparse: PageSet
  ) {
    self.base = base
    self.over = over
    self.fingerprints = fingerprints
    self.lost = lost
    self.sparse = sparse
    hasBarred = !lost.isEmpty || !sparse.isEmpty
  }
  private let hasBarred: Bool

  func match(_ page: UInt32, _ fingerprint: Fingerprint) -> Match {
    guard Int(page) < fingerprints.count else { return .differs }
    let known = fingerprints[Int(page)]
    // All zeros stands for a page that is not known.
    guard known == fingerprint, known.low | known.high != 0 else { return .differs }
    if !hasBarred { return .same }
    if lost.contains(page) { return .lost }
    return sparse.contains(page) ? .sparse : .same
  }
}
