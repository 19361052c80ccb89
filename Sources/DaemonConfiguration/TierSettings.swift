public import BackupModel

/// One of `tiers`: data with objectives of its own.
public struct TierSettings: Sendable, Hashable {
  public var id: TierID
  public var cluster: ClusterID
  /// As written, with or without a schema; empty: the whole cluster.
  public var tables: [String]
  /// What may be lost at most.
  public var rpo: Duration
  /// How long a restore may take.
  public var rto: Duration
}

enum TierKeys {
  static let cluster = Key("cluster", .name() as ValueType<ClusterID>, .required, "One of `clusters`.")
  static let tables = Key(
    "tables", .tableNames, .optional,
    "The tables of the tier, such as `[oauth_tokens, audit.log]`: a logical backup of all of them counts as well. Without it the whole cluster, which physical backups and WAL alone bring back."
  )
  static let rpo = Key(
    "rpo", .duration("1s", "3650d"), .required,
    "How much may be lost at most: what happened in this span before a loss. Give it at least twice the `partial-interval` of the cluster's WAL job."
  )
  static let rto = Key(
    "rto", .duration("1s", "3650d"), .required, "How long it may take until a restored server takes connections.")
  static let section = Section(
    path: "tiers.<tier>",
    sentence:
      "A class of data, under a name of your choice, with what is promised for it. `backupctl status` holds what is attained against it.",
    keys: [cluster.declaration, tables.declaration, rpo.declaration, rto.declaration])
}

extension ValueType where Value == [String] {
  static let tableNames = ValueType(name: "list of tables", range: nil) { place in
    guard case .sequence(let nodes) = place.node, !nodes.isEmpty else {
      place.report("must be a list of tables, such as [oauth_tokens, audit.log], not \(place.shape)")
      return nil
    }
    var names: [String] = []
    for (index, node) in nodes.enumerated() {
      let element = place.element(node, index)
      guard let name = element.text(expected: "a table") else { return nil }
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 63 && !$0.utf8.contains(0) }) else {
        element.report("\"\(name)\" is not a table", advice: "write TABLE or SCHEMA.TABLE")
        return nil
      }
      if names.contains(name) { element.report("\"\(name)\" is named twice") }
      names.append(name)
    }
    return names
  }
}

extension ConfigurationReader {
  func readTiers(_ place: Place, clusters: [Placed<ClusterSettings>]?) -> [TierSettings] {
    MappingReader.entries(place, as: TierID.self).compactMap { id, place in
      guard let reader = MappingReader(place, keys: TierKeys.section.keys) else { return nil }
      let cluster = reader.value(TierKeys.cluster)
      if let cluster, let clusters { checkCluster(cluster, reader.place(of: TierKeys.cluster), clusters) }
      let tables = reader.value(TierKeys.tables)
      let rpo = reader.value(TierKeys.rpo)
      guard let rto = reader.value(TierKeys.rto), let rpo, let cluster else { return nil }
      return TierSettings(id: id, cluster: cluster, tables: tables ?? [], rpo: rpo, rto: rto)
    }
  }

  /// Reports a cluster that is not there.
  func checkCluster(_ cluster: ClusterID, _ place: Place, _ clusters: [Placed<ClusterSettings>]) {
    if clusters.contains(where: { $0.value.id == cluster }) { return }
    let names = clusters.map(\.value.id.rawValue)
    place.report(
      "there is no cluster \"\(cluster)\"",
      advice: Suggestion.text(for: cluster.rawValue, in: names) ?? "known are " + names.joined(separator: ", "))
  }
}
