public import BackupModel

/// The fingerprint cache cannot be used. Nothing is lost: a backup without it stores every page.
public enum FingerprintCacheError: OperatorError {
  case missing(String)
  case damaged(String, reason: String)
  /// It describes another backup than the newest, or another repository.
  case ofAnother(String, what: String)
  /// Page maps and fingerprints do not describe the same pages.
  case inconsistent(String, file: String)
  /// Another backup became the newest while the cache was made.
  case overtaken(BackupID)

  public var summary: String {
    switch self {
    case .missing(let path): "could not find the fingerprint cache \"\(path)\""
    case .damaged(let path, _): "cannot use the fingerprint cache \"\(path)\": it is damaged"
    case .ofAnother(let path, _): "cannot use the fingerprint cache \"\(path)\": it is not the newest backup's"
    case .inconsistent(let path, _): "cannot use the fingerprint cache \"\(path)\": it contradicts itself"
    case .overtaken(let backup): "did not make a fingerprint cache of backup \(backup)"
    }
  }
  public var detail: String? {
    switch self {
    case .overtaken: "It is no longer the newest: a backup ended meanwhile, or the newest was deleted."
    case .missing: nil
    case .damaged(_, let reason): reason
    case .ofAnother(_, let what): what
    case .inconsistent(_, let file):
      "Pages of \"\(file)\" have fingerprints there and no place. The cache was removed; the next run stores every page."
    }
  }
  public var hint: String? {
    if case .overtaken = self { return "Where a new backup ended, it brought its own cache; otherwise run this again." }
    return
      "Run \"backupctl repository rebuild-cache\" to make it from the repository, or let the next backup store every page."
  }
}
