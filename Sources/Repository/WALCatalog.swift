public import BackupModel
internal import Storage

/// Which WAL of a lineage lies where, by the names in the stores. A value: what the stores held when it was made.
public struct WALCatalog: Sendable {
  /// What the stores hold of one segment.
  public struct Piece: Sendable, Hashable {
    public var segment: WALSegment
    /// Stores with the whole segment.
    public var full: Set<StoreID> = []
    /// Slices and the stores that hold each. Looked for only in stores that lack the whole segment.
    public var slices: [WALSlice: Set<StoreID>] = [:]
    /// Clocks of an idle server: names only, to be read before they are believed.
    var clocks: Set<WALClock> = []
  }

  public let repository: Repository
  public let lineage: Lineage
  public let segmentSize: WALSegmentSize
  /// Stores that did not answer: what they hold is not in here.
  public private(set) var failures: [StoreID: ErrorReport] = [:]
  /// By timeline, in the order of segments.
  public private(set) var pieces: [TimelineID: [Piece]] = [:]
  public private(set) var histories: [TimelineID: Set<StoreID>] = [:]

  /// Lists the stores.
  /// - Parameter segmentSize: Nil finds it in an object; the standard size where there is none.
  public init(_ repository: Repository, _ lineage: Lineage, segmentSize: WALSegmentSize? = nil) throws {
    self.repository = repository
    self.lineage = lineage
    var names: [StoreID: [String: Listing]] = [:]
    for store in repository.stores {
      do {
        names[store.id] = try Self.list(store, lineage)
      } catch let error as StorageError {
        failures[store.id] = ErrorReport(error)
      }
    }
    self.segmentSize = try segmentSize ?? Self.findSegmentSize(names, repository, lineage) ?? .standard
    var found: [WALSegment: Piece] = [:]
    for store in repository.stores {
      do {
        for (folder, listing) in names[store.id] ?? [:] { try take(folder, listing, store, &found) }
      } catch let error as StorageError {
        failures[store.id] = ErrorReport(error)
      }
    }
    for piece in found.values.sorted(by: { $0.segment < $1.segment }) {
      pieces[piece.segment.timeline, default: []].append(piece)
    }
  }

  /// Listings of `wal` (under "") and of each timeline.
  private static func list(_ store: RepositoryStore, _ lineage: Lineage) throws -> [String: Listing] {
    let top = try store.objects.list(below: lineage.walPrefix)
    var listings = ["": top]
    for folder in top.prefixes {
      listings[folder] = try store.objects.list(below: lineage.walPrefix + "/" + folder)
    }
    return listings
  }

  private static func findSegmentSize(
    _ names: [StoreID: [String: Listing]], _ repository: Repository, _ lineage: Lineage
  ) throws -> WALSegmentSize? {
    var failure: (any Error)?
    for object in names.values.flatMap(\.values).flatMap(ends) {
      do {
        let index = try repository.read(.walSegment, object.name) { try $0.readWALIndex() }
        return try WALSegmentSize(bytes: index.end - index.first)
      } catch let error as RepositoryError {
        // One that is damaged hides no other.
        failure = failure ?? error
      }
    }
    if let size = try sliceSegmentSize(names, repository, lineage) { return size }
    if let failure { throw failure }
    return nil
  }

  /// Segments of both ends of a listing: where one is damaged another tells as well, and what many that nobody can open say
  /// is not asked of each.
  private static func ends(of listing: Listing) -> [Listing.Object] {
    func some(_ objects: some Sequence<Listing.Object>) -> [Listing.Object] {
      Array(objects.lazy.filter { $0.name.lastComponent.utf8.count == 24 }.prefix(8))
    }
    return some(listing.objects) + some(listing.objects.reversed())
  }

  /// A segment's first slice begins where the segment does: the low half of that LSN, divided by the last part of the
  /// segment's name, is the size.
  private static func sliceSegmentSize(
    _ names: [StoreID: [String: Listing]], _ repository: Repository, _ lineage: Lineage
  ) throws -> WALSegmentSize? {
    for store in repository.stores {
      for (folder, listing) in names[store.id] ?? [:] where !folder.isEmpty {
        for prefix in listing.prefixes where prefix.hasSuffix(".partial") {
          guard let number = UInt64(prefix.dropLast(8).suffix(8), radix: 16), number > 0 else { continue }
          let slices = try store.objects.list(below: "\(lineage.walPrefix)/\(folder)/\(prefix)").objects
            .compactMap { WALSlice(component: $0.name.lastComponent) }
          guard let first = slices.map(\.first).min() else { continue }
          let low = first.value & 0xFFFF_FFFF
          if low % number == 0, let size = try? WALSegmentSize(bytes: low / number) { return size }
        }
      }
    }
    return nil
  }

  private mutating func take(
    _ folder: String, _ listing: Listing, _ store: RepositoryStore, _ found: inout [WALSegment: Piece]
  ) throws {
    if folder.isEmpty {
      for object in listing.objects where object.name.lastComponent.hasSuffix(".history") {
        guard let number = UInt32(object.name.lastComponent.prefix(8), radix: 16) else { continue }
        histories[TimelineID(number), default: []].insert(store.id)
      }
      return
    }
    var whole: Set<WALSegment> = []
    for object in listing.objects {
      guard let segment = try? WALSegment(name: object.name.lastComponent, size: segmentSize) else { continue }
      whole.insert(segment)
      found[segment, default: Piece(segment: segment)].full.insert(store.id)
    }
    for prefix in listing.prefixes where prefix.hasSuffix(".partial") {
      guard let segment = try? WALSegment(name: String(prefix.dropLast(8)), size: segmentSize),
        !whole.contains(segment)
      else { continue }
      for object in try store.objects.list(below: lineage.walSlicesPrefix(segment, size: segmentSize)).objects {
        let component = object.name.lastComponent
        if let clock = WALClock(component: component, timeline: segment.timeline) {
          found[segment, default: Piece(segment: segment)].clocks.insert(clock)
        }
        guard let slice = WALSlice(component: component) else { continue }
        found[segment, default: Piece(segment: segment)].slices[slice, default: []].insert(store.id)
      }
    }
  }

  // MARK: Coverage

  /// Timelines with WAL, lowest first.
  public var timelines: [TimelineID] { pieces.keys.sorted() }

  public func piece(_ segment: WALSegment) -> Piece? {
    guard let list = pieces[segment.timeline] else { return nil }
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if list[middle].segment < segment { low = middle + 1 } else { high = middle }
    }
    return low < list.count && list[low].segment == segment ? list[low] : nil
  }

  /// Where the WAL of a segment ends, held from its first byte on; its start where nothing is.
  /// - Parameter store: Count only what this store holds; nil counts all together.
  public func end(of piece: Piece, in store: StoreID? = nil) -> LSN {
    let start = piece.segment.start(size: segmentSize)
    let isWhole = store.map { piece.full.contains($0) } ?? !piece.full.isEmpty
    if isWhole { return piece.segment.end(size: segmentSize) }
    let held = WALSlice.chain(slices(of: piece, in: store), from: start).last?.end
    return min(held ?? start, piece.segment.end(size: segmentSize))
  }

  func slices(of piece: Piece, in store: StoreID?) -> [WALSlice] {
    guard let store else { return Array(piece.slices.keys) }
    return piece.slices.filter { $0.value.contains(store) }.map(\.key)
  }

  /// How far WAL is held from a position on, without a hole; the position itself where nothing is.
  public func coverage(from position: WALPosition, in store: StoreID? = nil) -> LSN {
    var segment = WALSegment(timeline: position.timeline, holding: position.lsn, size: segmentSize)
    var reached = position.lsn
    while let piece = piece(segment) {
      let end = end(of: piece, in: store)
      guard end > reached else { break }
      reached = end
      if end < segment.end(size: segmentSize) { break }
      segment = segment.next
    }
    return reached
  }

  /// Where the last WAL held of a timeline ends.
  public func end(of timeline: TimelineID) -> LSN? {
    pieces[timeline]?.last.map { end(of: $0) }
  }

  /// Runs of WAL without a hole, in order.
  public func runs(of timeline: TimelineID) -> [WALRun] {
    var runs: [WALRun] = []
    for piece in pieces[timeline] ?? [] {
      let start = piece.segment.start(size: segmentSize)
      let end = end(of: piece)
      if end == start { continue }
      let holders = piece.full.isEmpty ? piece.slices.values.reduce(into: Set()) { $0.formUnion($1) } : piece.full
      if var last = runs.last, last.end == start {
        last.end = end
        last.segments += piece.full.isEmpty ? 0 : 1
        last.stores = last.stores.filter { holders.contains($0) }
        last.lastSegment = piece.segment.name(size: segmentSize)
        runs[runs.count - 1] = last
      } else {
        let name = piece.segment.name(size: segmentSize)
        runs.append(
          WALRun(
            timeline: timeline, first: start, end: end, firstSegment: name, lastSegment: name,
            segments: piece.full.isEmpty ? 0 : 1, stores: holders.sorted()))
      }
    }
    return runs
  }

  /// Holes: those recorded when they were found, and those between runs that no record explains. What a prune took away
  /// is none.
  /// - Returns: Beside them the records that cannot be read, and why: what they say is not known.
  public func gaps() throws -> (rows: [WALGapRow], unreadable: [ErrorReport]) {
    let (recorded, unreadable) = try recordedGaps()
    let pruned = recorded.filter { $0.pruned == true }
    var rows = recorded.filter { $0.pruned != true }.map { WALGapRow($0, isRecorded: true) }
    for timeline in timelines {
      let runs = runs(of: timeline)
      for (before, after) in zip(runs, runs.dropFirst()) {
        let isKnown = rows.contains { $0.timeline == timeline && $0.first < after.first && $0.end > before.end }
        if isKnown { continue }
        for hole in Self.holes(from: before.end, to: after.first, without: pruned.filter { $0.timeline == timeline }) {
          rows.append(
            WALGapRow(
              timeline: timeline, first: hole.first, end: hole.end, reason: "No store holds this WAL.", found: nil,
              isRecorded: false))
        }
      }
    }
    return (rows.sorted { ($0.timeline, $0.first) < ($1.timeline, $1.first) }, unreadable)
  }

  /// What is left of a hole beside what was pruned.
  private static func holes(from first: LSN, to end: LSN, without pruned: [WALGap]) -> [(first: LSN, end: LSN)] {
    var holes: [(first: LSN, end: LSN)] = []
    var reached = first
    for gap in pruned.sorted(by: { $0.first < $1.first }) where gap.end > reached && gap.first < end {
      if gap.first > reached { holes.append((reached, gap.first)) }
      reached = gap.end
    }
    if reached < end { holes.append((reached, end)) }
    return holes
  }

  private func recordedGaps() throws -> (gaps: [WALGap], unreadable: [ErrorReport]) {
    var names: Set<ObjectName> = []
    for store in repository.stores where failures[store.id] == nil {
      names.formUnion(try store.objects.list(below: lineage.gapsPrefix).objects.map(\.name))
    }
    var gaps: [WALGap] = []
    var unreadable: [ErrorReport] = []
    for name in names.sorted() {
      do {
        gaps.append(try repository.readDocument(WALGap.self, name))
      } catch let error as StorageError where error.isMissing {
        // A prune took it away meanwhile.
      } catch let error as any OperatorError {
        unreadable.append(ErrorReport(error))
      }
    }
    return (gaps, unreadable)
  }
}

/// WAL without a hole: an element of `backupctl wal list --json`.
public struct WALRun: Sendable, Hashable, Codable {
  public var timeline: TimelineID
  public var first: LSN
  public var end: LSN
  public var firstSegment: String
  public var lastSegment: String
  /// Complete segments.
  public var segments: Int
  /// Stores that hold all of it.
  public var stores: [StoreID]
}

/// A hole in the WAL: an element of `backupctl wal gaps --json`.
public struct WALGapRow: Sendable, Hashable, Codable {
  public var timeline: TimelineID
  public var first: LSN
  public var end: LSN
  public var reason: String
  /// When it was found; nil where no record tells.
  public var found: Timestamp?
  public var isRecorded: Bool

  init(timeline: TimelineID, first: LSN, end: LSN, reason: String, found: Timestamp?, isRecorded: Bool) {
    self.timeline = timeline
    self.first = first
    self.end = end
    self.reason = reason
    self.found = found
    self.isRecorded = isRecorded
  }
  init(_ gap: WALGap, isRecorded: Bool) {
    self.init(
      timeline: gap.timeline, first: gap.first, end: gap.end, reason: gap.reason, found: gap.found,
      isRecorded: isRecorded)
  }
}
