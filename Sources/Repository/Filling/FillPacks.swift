internal import BackupModel
internal import Storage

/// The packs and metadata packs of a lineage, as a store that is filled and the others list them.
struct FillPacks {
  private let lineage: Lineage
  private let elsewhere: [ObjectName: FillPlan.Object]
  private let here: [ObjectName: Int64]
  /// A verification could not use them in the store.
  private let marked: Set<ObjectName>

  init(_ lineage: Lineage, packs: FillPlan.Comparison, metadata: FillPlan.Comparison, marked: Set<PackID>) {
    self.lineage = lineage
    elsewhere = packs.elsewhere.merging(metadata.elsewhere) { first, _ in first }
    here = packs.here.merging(metadata.here) { first, _ in first }
    self.marked = Set(marked.flatMap { [lineage.pack($0), lineage.metadataPack($0)] })
  }

  /// What is marked as damaged and lies in another store, too.
  var repairable: Set<ObjectName> { marked.filter { elsewhere[$0] != nil } }

  /// Whether the store has it whole, as far as is known.
  /// - Parameter size: What a manifest says; 0 where it does not.
  func holds(_ name: ObjectName, size: Int64) -> Bool {
    guard let found = here[name], !marked.contains(name) else { return false }
    let expected = size > 0 ? size : elsewhere[name]?.size
    return expected.map { $0 == found } ?? true
  }

  /// What there is to be copied; nil where no other store has it.
  func object(_ name: ObjectName) -> FillPlan.Object? {
    guard var object = elsewhere[name] else { return nil }
    if here[name] != nil {
      object.isInDoubt = true
      // What it is to take the place of was there long before.
      object.written = nil
    }
    if marked.contains(name), let pack = try? PackID(name.lastComponent) { object.mark = lineage.damageMark(pack) }
    return object
  }
}
