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
  /// - Throws: `StorageError` where no store answers.
  public func lineages(of cluster: ClusterID) throws -> [Lineage] {
    let found = try unorderedLineages(of: cluster)
    guard found.count > 1 else { return Array(found) }
    let numbered = try found.map { (lineage: $0, number: try newestAcceptance(of: $0)?.number ?? 0) }
    return numbered.sorted {
      ($0.number, $0.lineage.systemIdentifier) < ($1.number, $1.lineage.systemIdentifier)
    }.map(\.lineage)
  }

  /// Refuses a server that is not the one whose backups go on: it would mix two histories.
  /// - Throws: ``RepositoryError/systemIdentifierDiffers(_:repository:server:)``, `StorageError`.
  public func requireCurrent(_ lineage: Lineage) throws {
    guard let current = try lineages(of: lineage.cluster).last, current != lineage else { return }
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
    // Also those that cannot be read: nothing is overwritten.
    let used = try known.flatMap { try acceptanceNumbers(of: $0) }.max() ?? 0
    let acceptance = Acceptance(number: used + 1, at: now)
    for store in stores {
      try putDocument(acceptance, lineage.acceptance(acceptance.number), in: store, cancellation: cancellation)
    }
    return acceptance
  }

  private func acceptanceNumbers(of lineage: Lineage) throws -> Set<Int> {
    var numbers: Set<Int> = []
    for (_, listing) in try listings(below: lineage.acceptancesPrefix) {
      for object in listing.objects {
        let name = object.name.lastComponent
        if let number = Int(name), number > 0, name == "\(number)" { numbers.insert(number) }
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
