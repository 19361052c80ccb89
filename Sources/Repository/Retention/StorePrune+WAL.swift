internal import BackupModel
internal import Storage

extension StorePrune {
  /// Removes WAL that neither a backup nor the recovery window needs, and slices whose whole segment is there.
  /// - Parameter need: Nil keeps all.
  func removeWAL(need: WALNeed?) throws {
    guard let need else { return report.add(.keep, "wal", nil, "there is no backup that tells what is needed") }
    // A backup that goes on may begin before the oldest that is complete, on a standby that lags.
    if try run.isBackupGoingOn() {
      return report.add(.wait, "wal", nil, "a backup goes on")
    }
    for folder in try store.objects.list(below: lineage.walPrefix).prefixes {
      try removeWAL(timeline: folder, need)
    }
    try removeGaps(need)
  }

  private func removeWAL(timeline folder: String, _ need: WALNeed) throws {
    let size = run.wal.segmentSize
    let listing = try store.objects.list(below: lineage.walPrefix + "/" + folder)
    var whole: Set<WALSegment> = []
    var unneeded: [(object: Listing.Object, segment: WALSegment)] = []
    var old = Group()
    var kept = Group()
    var paid = PaidStorage(run.now)
    for object in listing.objects.sorted(by: { $0.name < $1.name }) {
      guard let segment = try? WALSegment(name: object.name.lastComponent, size: size) else { continue }
      whole.insert(segment)
      if need.contains(segment.start(size: size), segment.end(size: size)) {
        kept.add(object, segment)
      } else if !paid.holds(object) {
        unneeded.append((object, segment))
      }
    }
    let free = Set(try unlocked(unneeded.map(\.object), "wal", nil).map(\.name))
    for (object, segment) in unneeded where free.contains(object.name) { old.add(object, segment) }
    let partial = listing.prefixes.filter { $0.hasSuffix(".partial") }
      .compactMap { try? WALSegment(name: String($0.dropLast(8)), size: size) }
    func isOld(_ segment: WALSegment) -> Bool { !need.contains(segment.start(size: size), segment.end(size: size)) }
    for segment in partial where isOld(segment) { for slice in try slices(of: segment) { old.add(slice, segment) } }
    report.add(
      .keep, "wal", kept.range(size), count: kept.names.count, bytes: kept.bytes,
      "backups or the recovery window, from \(need.from) on, need it")
    paid.report("wal", in: &report)
    if !run.isDry, report.refusal == nil { try recordPruned(old.spans(size), kept.spans(size).first?.start) }
    try remove(old.names, "wal", old.range(size), bytes: old.bytes, "no backup and no recovery window needs it")
    try removeOvertaken(partial.filter { whole.contains($0) && !isOld($0) }.sorted { $0.number < $1.number })
  }

  /// Segments whose slices are listed before some are removed.
  private static let slicedBatch = 100

  /// Removes slices whose whole segment is there, once they are old: one prune lists few folders in which nothing may go.
  /// - Parameter segments: In order.
  private func removeOvertaken(_ segments: [WALSegment]) throws {
    var rest = segments[...]
    var isDone = false
    repeat {
      var overtaken: [Listing.Object] = []
      for segment in rest.prefix(Self.slicedBatch) where !isDone {
        let found = try slices(of: segment)
        let old = try dated(found).filter { $0.modified.map { $0 < run.now - Pruner.youth } ?? false }
        overtaken += old
        // They were written in order: those behind are younger still.
        isDone = old.isEmpty && !found.isEmpty
      }
      rest = rest.dropFirst(Self.slicedBatch)
      try remove(
        overtaken.map(\.name), "wal", nil, bytes: overtaken.reduce(0) { $0 + $1.size },
        "slices whose whole segment is there")
    } while !rest.isEmpty && !isDone && report.refusal == nil
  }

  private func slices(of segment: WALSegment) throws -> [Listing.Object] {
    try store.objects.list(below: lineage.walSlicesPrefix(segment, size: run.wal.segmentSize)).objects
  }

  /// WAL that goes from between what stays is no loss, and is not to look like one: said before it goes.
  /// - Parameter first: Where the first WAL that stays begins; nothing need be said of what lies before it.
  private func recordPruned(_ spans: [WALSpan], _ first: LSN?) throws {
    guard let first else { return }
    let known = try gapRecords().filter { $0.gap.pruned == true }
    for var span in spans where span.start > first {
      let touching = known.filter {
        $0.gap.timeline == span.timeline && $0.gap.first <= span.end && $0.gap.end >= span.start
      }
      for record in touching {
        span.start = min(span.start, record.gap.first)
        span.end = max(span.end, record.gap.end)
      }
      if touching.contains(where: { $0.gap.first == span.start && $0.gap.end == span.end }) { continue }
      try run.check()
      let gap = WALGap(
        timeline: span.timeline, first: span.start, end: span.end, reason: "It is older than the recovery window.",
        found: run.now, pruned: true)
      try repository.putDocument(gap, lineage.gap(gap.id), in: store, cancellation: run.cancellation)
      do {
        try store.objects.delete(touching.map(\.name))
      } catch let error as StorageError where error.isDeletionRefused {
        // They say less than the new one, and nothing wrong.
      }
    }
  }

  /// Records that can be read. One that cannot be read stays: nobody knows what it says.
  private func gapRecords() throws -> [(name: ObjectName, gap: WALGap)] {
    try store.objects.list(below: lineage.gapsPrefix).objects.compactMap { object in
      (try? repository.readDocument(WALGap.self, object.name)).map { (object.name, $0) }
    }
  }

  private func removeGaps(_ need: WALNeed) throws {
    let oldest = min(need.from, need.spans.map(\.start).min() ?? need.from)
    let old = try gapRecords().filter { $0.gap.end <= oldest }.map(\.name)
    try remove(old, "gaps", nil, bytes: 0, "they lie before the first backup")
  }

  private struct WALSpan {
    var timeline: TimelineID
    var start: LSN
    var end: LSN
  }

  private struct Group {
    var names: [ObjectName] = []
    var segments: Set<WALSegment> = []
    var bytes: Int64 = 0

    mutating func add(_ object: Listing.Object, _ segment: WALSegment) {
      names.append(object.name)
      segments.insert(segment)
      bytes += object.size
    }

    func range(_ size: WALSegmentSize) -> String? {
      guard let first = segments.min()?.name(size: size), let last = segments.max()?.name(size: size) else {
        return nil
      }
      return first == last ? first : "\(first) … \(last)"
    }

    /// Neighbours joined, in order.
    func spans(_ size: WALSegmentSize) -> [WALSpan] {
      var spans: [WALSpan] = []
      for segment in segments.sorted() {
        let start = segment.start(size: size)
        let end = segment.end(size: size)
        if spans.last?.end == start {
          spans[spans.count - 1].end = end
        } else {
          spans.append(WALSpan(timeline: segment.timeline, start: start, end: end))
        }
      }
      return spans
    }
  }
}
