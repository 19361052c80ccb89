public import BackupModel
public import BlockingWork
internal import Storage

/// A word that a system identifier is the cluster's from now on: `acceptances/<n>` of its lineage.
///
/// `n` counts the acceptances of the cluster, in all its lineages. The lineage of the highest is the one that goes on; a
/// cluster that nobody had to accept again has none.
public struct Acceptance: Sendable, Hashable, Codable {
  public var format = 1
  public var number: Int
  public var at: Timestamp

  init(number: Int, at: Timestamp) {
    self.number = number
    self.at = at
  }
}

extension Repository {
  /// Lineages of a cluster that any store knows, oldest first: in the order in which they were accepted.
  ///
  /// Where none was, those of which nothing opens come first: a name alone is anybody's who can write to a store, and the
  /// last lineage is the one that goes on.
  /// - Throws: `StorageError` where no store answers.
  public func lineages(of cluster: ClusterID) throws -> [Lineage] {
    let found = try unorderedLineages(of: cluster)
    guard found.count > 1 else { return Array(found) }
    var places = try found.map { (lineage: $0, number: try newestAcceptance(of: $0)?.number ?? 0) }
    if places.allSatisfy({ $0.number == 0 }) {
      for index in places.indices where try !holdsWhatOpens(places[index].lineage) { places[index].number = -1 }
    }
    return places.sorted {
      ($0.number, $0.lineage.systemIdentifier) < ($1.number, $1.lineage.systemIdentifier)
    }.map(\.lineage)
  }

  /// Whether a manifest, or any WAL, of a lineage opens. Of one that is in use the first that is asked for does.
  private func holdsWhatOpens(_ lineage: Lineage) throws -> Bool {
    let catalog = BackupCatalog(self)
    for id in Set(try names(below: lineage.backupsPrefix)).compactMap({ try? BackupID($0.lastComponent) }) {
      if (try? catalog.readHeader(of: id, lineage)) != nil { return true }
    }
    func opens(_ kind: ObjectKind, below prefix: String) throws -> Bool {
      try names(below: prefix).contains { name in (try? read(kind, name, for: .table) { _ in true }) ?? false }
    }
    if try opens(.timelineHistory, below: lineage.walPrefix) { return true }
    for timeline in try prefixes(below: lineage.walPrefix) {
      if try opens(.walSegment, below: timeline) { return true }
      // At the beginning there are slices alone.
      for segment in try prefixes(below: timeline) where try opens(.walSlice, below: segment) { return true }
    }
    return false
  }

  private func names(below prefix: String) throws -> [ObjectName] {
    try listings(below: prefix).flatMap { $0.listing.objects.map(\.name) }
  }

  private func prefixes(below prefix: String) throws -> Set<String> {
    Set(try listings(below: prefix).flatMap(\.listing.prefixes).map { prefix + "/" + $0 })
  }

  /// Refuses a server that is not the one whose backups go on: it would mix two histories.
  /// - Throws: ``RepositoryError/systemIdentifierDiffers(_:repository:server:)``, `StorageError`.
  public func requireCurrent(_ lineage: Lineage) throws {
    guard let current = try lineages(of: lineage.cluster).last, current != lineage else { return }
    // Nothing is mixed with what nobody can read.
    guard try newestAcceptance(of: current) != nil || holdsWhatOpens(current) else { return }
    throw RepositoryError.systemIdentifierDiffers(
      lineage.cluster, repository: current.systemIdentifier, server: lineage.systemIdentifier)
  }

  /// Lets a lineage be the cluster's from now on: a new one, or an older one again. The others keep what they have.
  ///
  /// - Returns: Nil where it is that already, or is the cluster's first, which nobody has to accept.
  /// - Throws: `StorageError`.
  public func accept(
    _ lineage: Lineage, now: Timestamp = .now(), cancellation: Cancellation
  ) throws -> Acceptance? {
    let known = try lineages(of: lineage.cluster)
    guard let current = known.last else { return nil }
    if current == lineage {
      // What was accepted while a store was away.
      guard let acceptance = try newestAcceptance(of: lineage) else { return nil }
      for store in stores where try store.objects.size(of: lineage.acceptance(acceptance.number)) == nil {
        try putDocument(acceptance, lineage.acceptance(acceptance.number), in: store, cancellation: cancellation)
      }
      return nil
    }
    var number = try known.compactMap { try newestAcceptance(of: $0)?.number }.max() ?? 0
    // Names that are taken are passed over, also where they cannot be read: nothing is overwritten.
    let taken = Set(try known.flatMap { try acceptanceNumbers(of: $0) })
    repeat { number += 1 } while taken.contains(number)
    let acceptance = Acceptance(number: number, at: now)
    for store in stores {
      try putDocument(acceptance, lineage.acceptance(acceptance.number), in: store, cancellation: cancellation)
    }
    return acceptance
  }

  private func acceptanceNumbers(of lineage: Lineage) throws -> Set<Int> {
    var numbers: Set<Int> = []
    for (_, listing) in try listings(below: lineage.acceptancesPrefix) {
      for object in listing.objects {
        if let number = NameNumber.parse(object.name.lastComponent) { numbers.insert(number) }
      }
    }
    return numbers
  }

  /// The newest that can be read: one that does not open says nothing.
  private func newestAcceptance(of lineage: Lineage) throws -> Acceptance? {
    for number in try acceptanceNumbers(of: lineage).sorted().reversed() {
      guard let read = try? readDocument(Acceptance.self, lineage.acceptance(number)), read.number == number else {
        continue
      }
      return read
    }
    return nil
  }
}
