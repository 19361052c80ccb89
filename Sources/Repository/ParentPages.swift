public import BackupModel
internal import Cryptography
import Synchronization

/// The pages a run can take over: those of its parent, and over them those of a checkpoint that a run left which did
/// not end.
public final class ParentPages: Sendable {
  let base: FingerprintCache?
  let over: FingerprintCache?
  /// Packs and metadata packs that every store has whole. What lies elsewhere is stored anew, so the next backup heals.
  private let held: Set<PackID>
  /// Required stores of which nobody knows what they hold: the run goes on without them.
  let unheard: [StoreID: ErrorReport]
  /// By position in the base's use of packs: frames that are mostly dead.
  private let sparse: [Int: [Bool]]
  private let firstFailure = Mutex<ErrorReport?>(nil)

  /// - Parameters:
  ///   - held: Packs that every store holds, see ``StoreHoldings``.
  ///   - isHeld: By id and size.
  init(base: FingerprintCache?, over: FingerprintCache?, holdings: StoreHoldings) {
    self.base = base
    self.over = over
    var held: Set<PackID> = []
    for usage in [base?.usage, over?.usage].compactMap({ $0 }) {
      held.formUnion(usage.packs.filter { holdings.holds(pack: $0.id, size: $0.size) }.map(\.id))
      held.formUnion(usage.metadata.filter { holdings.holds(metadata: $0.id, size: $0.size) }.map(\.id))
    }
    self.held = held
    unheard = holdings.failures
    sparse = base.map { Compaction.candidates($0.usage, changed: $0.description.pagesChanged) } ?? [:]
  }

  /// The backup taken over from; nil where only a checkpoint is.
  public var parent: BackupID? { base?.backup }
  /// The run whose checkpoint is laid over it.
  public var resumed: BackupID? { over?.backup }
  /// The first thing that could not be read: its file was stored anew.
  var failure: ErrorReport? { firstFailure.withLock { $0 } }

  /// What is known of a file; nil where it is new, or its record cannot be read.
  func file(_ path: String) -> ParentFile? {
    do {
      let over = try over?.find(path)
      let base = try base?.find(path)
      if over == nil && base == nil { return nil }
      var lost = PageSet()
      var sparse = PageSet()
      var fingerprints: [Fingerprint] = []
      if let base {
        fingerprints = try self.base!.fingerprints(of: base)
        try bar(self.base!.map(of: base), usage: self.base!.usage, isBase: true, &lost, &sparse)
      }
      if let over {
        let newer = try self.over!.fingerprints(of: over)
        if newer.count > fingerprints.count {
          fingerprints += Array(repeating: Fingerprint(low: 0, high: 0), count: newer.count - fingerprints.count)
        }
        for (page, fingerprint) in newer.enumerated() where fingerprint.low | fingerprint.high != 0 {
          fingerprints[page] = fingerprint
        }
        let map = try self.over!.map(of: over)
        for run in map.runs {
          lost.remove(run.firstPage, count: run.count)
          sparse.remove(run.firstPage, count: run.count)
        }
        try bar(map, usage: self.over!.usage, isBase: false, &lost, &sparse)
      }
      return ParentFile(base: base, over: over, fingerprints: fingerprints, lost: lost, sparse: sparse)
    } catch {
      firstFailure.withLock { $0 = $0 ?? ErrorReport(error) }
      return nil
    }
  }

  /// Notes the pages of a map that may not, or had better not, be taken over.
  private func bar(
    _ map: PageMap, usage: PackUsage, isBase: Bool, _ lost: inout PageSet, _ sparse: inout PageSet
  ) throws {
    let isLost = map.packs.map { !held.contains($0) }
    let flags = map.packs.map { isBase ? usage.position(of: $0).flatMap { self.sparse[$0] } : nil }
    guard isLost.contains(true) || flags.contains(where: { $0 != nil }) else { return }
    let frames = map.frames.map { frame -> (lost: Bool, sparse: Bool) in
      let number = Int(frame.location.number)
      let flags = flags[Int(frame.pack)]
      return (isLost[Int(frame.pack)], flags.map { number < $0.count && $0[number] } ?? false)
    }
    for run in map.runs {
      let frame = frames[Int(run.frame)]
      if frame.lost { lost.insert(run.firstPage, count: run.count) }
      if frame.sparse { sparse.insert(run.firstPage, count: run.count) }
    }
  }

  /// Takes over the places of unchanged pages; pages without a place stay in the set.
  func take(_ pages: inout PageSet, of file: ParentFile, into assembly: inout PageMap.Assembly) throws {
    if let entry = file.over, let over { assembly.take(&pages, from: try over.map(of: entry)) }
    if let entry = file.base, let base { assembly.take(&pages, from: try base.map(of: entry)) }
  }

  /// The map of a file none of whose pages changed, where it is the parent's as it lies there.
  func unchangedMap(of file: ParentFile) throws -> PageMap? {
    guard file.over == nil, let entry = file.base, let base else { return nil }
    return try base.map(of: entry)
  }

  /// Whether a page map may stay where it lies: every store holds its metadata pack, and enough of that is in use.
  func canKeep(_ reference: PageMapReference) -> PackUsage.Metadata? {
    guard let pack = base?.usage.metadataPack(reference.metadataPack), held.contains(pack.id), !pack.isSparse else {
      return nil
    }
    return pack
  }

  /// The size of a pack that was there before this run.
  func size(of pack: PackID) -> UInt32? {
    if let known = over?.usage.pack(pack), known.size > 0 { return known.size }
    return base?.usage.pack(pack)?.size
  }
}

/// Which frames are written anew although their pages did not change.
///
/// Rewriting what is below 40 % bounds the space: with uniformly random changes a frame costs 0.4 of its pages once in
/// its life, so steady state writes 1.7 times the changed pages and keeps 1.5 times the live ones.
enum Compaction {
  static let percent = 40

  /// Frames with less than 40 % of their pages in use, and those of packs with so little in use: worst first, about as
  /// many pages as a backup like the last one changes. The run itself stops at as many as it finds changed.
  static func candidates(_ usage: PackUsage, changed: UInt64) -> [Int: [Bool]] {
    var found: [(pack: Int, frame: Int, live: Int, share: Int)] = []
    var all = 0
    for (position, pack) in usage.packs.enumerated() {
      let liveSlots = pack.liveSlots
      all += liveSlots
      let totalSlots = max(pack.totalSlots, 1)
      let isSparsePack = liveSlots * 100 < totalSlots * percent
      for frame in pack.live.indices where pack.live[frame] > 0 {
        let share = Int(pack.live[frame]) * 100 / max(Int(pack.total[frame]), 1)
        if share < percent || isSparsePack {
          found.append((position, frame, Int(pack.live[frame]), min(share, liveSlots * 100 / totalSlots)))
        }
      }
    }
    found.sort { ($0.share, $0.pack, $0.frame) < ($1.share, $1.pack, $1.frame) }
    // A backup may change more than the last one did.
    var budget = max(Int(changed) * 2, all / 50)
    var chosen: [Int: [Bool]] = [:]
    for frame in found {
      if budget <= 0 { break }
      budget -= frame.live
      chosen[frame.pack, default: Array(repeating: false, count: usage.packs[frame.pack].live.count)][frame.frame] =
        true
    }
    return chosen
  }
}
