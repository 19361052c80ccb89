public import BackupModel

/// No store of the repository can be read as it was.
public struct PastStoresMissing: OperatorError {
  var moment: Timestamp
  var reasons: [StoreID: ErrorReport]

  public var summary: String { "cannot read the repository as it was at \(moment)" }
  public var detail: String? {
    reasons.sorted { $0.key < $1.key }.map { store, reason in
      "\(store): \(reason.summary)" + (reason.detail.map { " (\($0))" } ?? "")
    }.joined(separator: "; ")
  }
  public var hint: String? {
    reasons.sorted { $0.key < $1.key }.lazy.compactMap(\.value.hint).first
      ?? "\"backupctl repository probe\" tells which stores keep what was deleted."
  }
}
