internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Foundation
internal import Repository
internal import Storage
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Takes WAL that PostgreSQL's archiver hands over, one file a call, and looks ahead at those that will follow.
///
/// Nothing is acknowledged that is not durable: in every store where all are on this host's disks, otherwise in the
/// landing directory, from which it is shipped like streamed WAL. The same file may come again; another file of the same
/// name is refused.
final class WALPusher: Sendable {
  /// Files taken ahead of PostgreSQL's asking.
  private static let ahead = 8
  /// How long a push waits for the archiver to begin.
  private static let startPatience: Duration = .seconds(10)
  /// How long a push waits for the stores to hold what landed.
  private static let storePatience: Duration = .seconds(60)

  /// Where pushed WAL goes once it is known whose it is.
  struct Place: Sendable {
    var landing: LandingDirectory
    var lineage: Lineage
    var size: WALSegmentSize
    var shipper: WALShipper
  }

  private struct State {
    /// Taken ahead already.
    var ready: [String: PushedFile.Identity] = [:]
    var working: Set<String> = []
    var wanted: [PushedFile] = []
    /// Histories that every store is known to hold.
    var histories: Set<ObjectName> = []
  }
  private let state = Mutex(State())
  private let repository: Repository
  private let queue: ShippingQueue
  private let waitsForStores: Bool
  /// Of a lineage and segment size; throws where the cluster's is another. Nil while the archiver does not run.
  private let place: @Sendable (SystemIdentifier, WALSegmentSize) throws -> Place?
  private let landed: @Sendable (WALSegment, WALSegmentSize) throws -> Void
  private var changed: Signal { queue.changed }

  init(
    repository: Repository, queue: ShippingQueue, waitsForStores: Bool,
    place: @escaping @Sendable (SystemIdentifier, WALSegmentSize) throws -> Place?,
    landed: @escaping @Sendable (WALSegment, WALSegmentSize) throws -> Void
  ) {
    self.repository = repository
    self.queue = queue
    self.waitsForStores = waitsForStores
    self.place = place
    self.landed = landed
  }

  // MARK: What is asked

  /// Returns once the file is durable.
  func push(_ path: String, _ cancellation: Cancellation) throws {
    let file = try PushedFile(path)
    if file.kind == .backupLabel { return }
    while true {
      try cancellation.check()
      let before = changed.value
      let identity = try file.identity()
      enum Turn { case done, mine, wait }
      let turn = state.withLock { state -> Turn in
        if state.working.contains(path) { return .wait }
        if state.ready.removeValue(forKey: path) == identity { return .done }
        state.working.insert(path)
        return .mine
      }
      switch turn {
      case .wait: changed.wait(after: before, for: .seconds(1))
      case .done: return lookAhead(of: file)
      case .mine:
        lookAhead(of: file)
        defer { finishWork(path) }
        return try take(file, cancellation)
      }
    }
  }

  private func finishWork(_ path: String) {
    state.withLock { _ = $0.working.remove(path) }
    changed.raise()
  }

  private func lookAhead(of file: PushedFile) {
    let isFull = state.withLock { $0.ready.count + $0.working.count + $0.wanted.count > Self.ahead }
    if isFull { return }
    let next = file.successors(limit: Self.ahead)
    let isMore = state.withLock { state -> Bool in
      // What was taken ahead and never asked for is forgotten: the server went another way.
      if state.ready.count > 4 * Self.ahead { state.ready = [:] }
      state.wanted = next.filter { state.ready[$0.path] == nil && !state.working.contains($0.path) }
      return !state.wanted.isEmpty
    }
    if isMore { changed.raise() }
  }

  /// The work of one lane: ends by cancellation only.
  func run(_ cancellation: Cancellation) throws {
    let changed = self.changed
    let handler = cancellation.addHandler { changed.raise() }
    defer { cancellation.removeHandler(handler) }
    while true {
      try cancellation.check()
      let before = changed.value
      let next = state.withLock { state -> PushedFile? in
        guard !state.wanted.isEmpty else { return nil }
        let file = state.wanted.removeFirst()
        state.working.insert(file.path)
        return file
      }
      guard let next else {
        changed.wait(after: before, for: .seconds(3600))
        continue
      }
      defer { finishWork(next.path) }
      do {
        let identity = try next.identity()
        try take(next, cancellation)
        state.withLock { $0.ready[next.path] = identity }
      } catch let error as CancellationError {
        throw error
      } catch {
        // PostgreSQL will ask for it, and be told what is wrong with it.
        continue
      }
    }
  }

  // MARK: Taking

  private func take(_ file: PushedFile, _ cancellation: Cancellation) throws {
    switch file.kind {
    case .segment:
      let header = try SegmentHeader(readingFrom: file.path)
      let place = try waitForPlace(header, cancellation)
      let segment = try WALSegment(name: file.name, size: header.size)
      try requireHistory(segment.timeline, in: file.directory, place, cancellation)
      try takeSegment(segment, file, place, cancellation)
    case .partial:
      let header = try SegmentHeader(readingFrom: file.path)
      let place = try waitForPlace(header, cancellation)
      try takePartial(file, place, cancellation)
    case .history(let timeline): try takeHistory(timeline, file, nil, cancellation)
    case .backupLabel: break
    }
  }

  /// - Throws: ``WALArchivingError/foreignSystemIdentifier(_:expected:found:)`` and its like.
  private func waitForPlace(_ header: SegmentHeader, _ cancellation: Cancellation) throws -> Place {
    let found = try changed.wait(cancellation, Self.startPatience) { try place(header.systemIdentifier, header.size) }
    guard let found else { throw WALArchivingError.notArchiving }
    return found
  }

  private func takeSegment(
    _ segment: WALSegment, _ file: PushedFile, _ place: Place, _ cancellation: Cancellation
  ) throws {
    let shipment = Shipment.segment(segment)
    if try isHeld(shipment, at: place.landing.landedPath(segment, place.size), file) {
      return try waitForStores(shipment, cancellation)
    }
    if try place.shipper.isStored(shipment, readingFrom: file.path) { return try landed(segment, place.size) }
    if try !placeDirectly(shipment, file, place, cancellation) {
      let index = SegmentIndex(segment, place.size, place.lineage.systemIdentifier)
      try LandedBytes([file.path], 0..<Int64(place.size.bytes)).forEachPiece { try index.feed($0) }
      try DurableFile.replace(place.landing.indexPath(segment, place.size), with: index.take().encoded())
      try copy(file.path, to: place.landing.landedPath(segment, place.size), count: Int64(place.size.bytes))
      queue.add(shipment)
      try landed(segment, place.size)
      return try waitForStores(shipment, cancellation)
    }
    try landed(segment, place.size)
  }

  /// A history names where each timeline ended: a second one of the same number is another server's.
  private func takeHistory(
    _ timeline: TimelineID, _ file: PushedFile, _ known: Place?, _ cancellation: Cancellation
  ) throws {
    let place = try known ?? historyPlace(file, cancellation)
    let text = String(decoding: try DurableFile.read(file.path, limit: 1 << 20), as: UTF8.self)
    _ = try TimelineHistory(timeline: timeline, text: text)
    let shipment = Shipment.history(timeline)
    if try isHeld(shipment, at: place.landing.historyPath(timeline), file) {
      return try waitForStores(shipment, cancellation)
    }
    let isStored = try place.shipper.isStored(shipment, readingFrom: file.path)
    if try isStored || placeDirectly(shipment, file, place, cancellation) {
      state.withLock { _ = $0.histories.insert(place.lineage.history(timeline)) }
      return
    }
    try DurableFile.replace(place.landing.historyPath(timeline), with: Array(text.utf8))
    queue.add(shipment)
    try waitForStores(shipment, cancellation)
  }

  /// A history file does not say whose it is: the segments beside it do.
  private func historyPlace(_ file: PushedFile, _ cancellation: Cancellation) throws -> Place {
    let names = try DurableFile.names(in: file.directory).filter { $0.utf8.count == 24 }.sorted(by: >)
    for name in names {
      guard let header = try? SegmentHeader(readingFrom: file.directory + "/" + name) else { continue }
      return try waitForPlace(header, cancellation)
    }
    throw WALArchivingError.pushedFileInvalid(
      path: file.path, reason: "No WAL segment lies beside it that tells whose it is.")
  }

  private func requireHistory(
    _ timeline: TimelineID, in directory: String, _ place: Place, _ cancellation: Cancellation
  ) throws {
    let history = place.lineage.history(timeline)
    if timeline.value == 1 || state.withLock({ $0.histories.contains(history) }) { return }
    let file = try PushedFile(directory + "/" + timeline.historyFileName)
    if DurableFile.exists(file.path) { return try takeHistory(timeline, file, place, cancellation) }
    for store in repository.required where try store.objects.size(of: history) == nil {
      throw WALArchivingError.pushedFileInvalid(
        path: file.path, reason: "It is missing, and store \"\(store.id)\" does not hold it either.")
    }
    state.withLock { _ = $0.histories.insert(history) }
  }

  /// What the server had of a segment when it left the timeline. Where that was, the next timeline's history says.
  private func takePartial(_ file: PushedFile, _ place: Place, _ cancellation: Cancellation) throws {
    let segment = try WALSegment(name: String(file.name.prefix(24)), size: place.size)
    let start = segment.start(size: place.size)
    guard let end = try endOfTimeline(segment, in: file.directory, place.size) else {
      throw WALArchivingError.pushedFileInvalid(
        path: file.path, reason: "No history file beside it tells where its timeline ended within it.")
    }
    if end == start { return }
    let shipment = Shipment.slice(segment, first: start, end: end)
    if try place.shipper.isStored(shipment, readingFrom: file.path) { return }
    try copy(file.path, to: place.landing.tailPath(segment, place.size), count: Int64(end - start))
    queue.add(shipment)
    try waitForStores(shipment, cancellation)
  }

  private func endOfTimeline(_ segment: WALSegment, in directory: String, _ size: WALSegmentSize) throws -> LSN? {
    let range = segment.start(size: size)...segment.end(size: size)
    for name in try DurableFile.names(in: directory) where name.hasSuffix(".history") {
      guard let number = UInt32(name.prefix(8), radix: 16), number > segment.timeline.value else { continue }
      let text = String(decoding: try DurableFile.read(directory + "/" + name, limit: 1 << 20), as: UTF8.self)
      let history = try TimelineHistory(timeline: TimelineID(number), text: text)
      let end = history.entries.first { $0.timeline == segment.timeline }?.end
      if let end, range.contains(end) { return end }
    }
    return nil
  }

  // MARK: Where it goes

  /// Whether it lies in the landing directory already, with the same content.
  private func isHeld(_ shipment: Shipment, at path: String, _ file: PushedFile) throws -> Bool {
    guard DurableFile.exists(path) else { return false }
    do {
      let held = try DurableFile.read(path, limit: 2 << 30)
      guard held == (try DurableFile.read(file.path, limit: 2 << 30)) else {
        throw WALArchivingError.pushedContentDiffers(file.path, held: path)
      }
    } catch let error as FileError where error.isMissing && error.path == path {
      // Stored and removed meanwhile: the stores are asked.
      return false
    }
    queue.add(shipment)
    return true
  }

  /// Puts it into every store at once where all are on disks of this host: nothing is gained by landing it first.
  /// - Returns: False where it has to go through the landing directory.
  private func placeDirectly(
    _ shipment: Shipment, _ file: PushedFile, _ place: Place, _ cancellation: Cancellation
  ) throws -> Bool {
    guard repository.required.allSatisfy({ $0.objects is PosixStore }) else { return false }
    // What waits for a store goes first: a history before its segments, and what a store refused is not tried for each.
    if queue.look({ !$0.items.isEmpty }) { return false }
    do {
      try place.shipper.put(shipment, readingFrom: file.path, cancellation)
      return true
    } catch WALArchivingError.objectUnusable {
      // The other stores get it, and the server's disk is not to fill for the sake of this one.
      return false
    } catch let error as WALArchivingError {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      return false
    }
  }

  private func waitForStores(_ shipment: Shipment, _ cancellation: Cancellation) throws {
    guard waitsForStores else { return }
    let isDone = try changed.wait(cancellation, Self.storePatience) {
      queue.look { queue in queue.items.contains { $0.shipment == shipment } ? nil : true }
    }
    if isDone == true { return }
    throw WALArchivingError.pushNotStored(cause: queue.look { $0.stores.values.compactMap(\.error).first })
  }

  /// Durable on return, under its name only when it is whole.
  private func copy(_ path: String, to destination: String, count: Int64) throws {
    let temporary = destination + ".incoming"
    do {
      let source = try LandedBytes([path], 0..<count)
      let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
      var position: Int64 = 0
      try source.forEachPiece { piece in
        try file.writeAll(piece, at: position)
        position += Int64(piece.count)
      }
      try file.sync()
      guard rename(temporary, destination) == 0 else { throw FileError.last("rename into place", destination) }
      try DurableFile.syncDirectory(of: destination)
    } catch {
      unlink(temporary)
      throw error
    }
  }
}
