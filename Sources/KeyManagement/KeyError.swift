public import BackupModel

/// A key could not be had.
public enum KeyError: OperatorError {
  case keyFileMissing(String)
  case keyFileReadable(String, mode: UInt32)
  case keyFileMalformed(String)
  case keyFileUnreadable(String, cause: ErrorReport)
  case wrongKeyFile(String, repositoryWants: String)
  /// The envelope is of a kind the configuration does not offer a key for.
  case recipientMissing(wanted: String, present: [String])
  case envelopeDamaged(String, reason: String)
  case formatUnknown(String, found: Int, known: Int)
  /// A recipient that the configuration names cannot be asked at all.
  case unusable(String, cause: ErrorReport)
  /// Of several recipients or envelopes.
  case noneUnlocks([RecipientFailure])
  /// They are the same key, under two names.
  case recipientTwice(String, String)

  /// Why one of several recipients did not open the repository.
  public struct RecipientFailure: Sendable, Hashable {
    public var recipient: String
    /// The object that he could not open; nil where there is none for him.
    public var envelope: String?
    public var cause: ErrorReport
  }

  public var summary: String {
    switch self {
    case .keyFileMissing(let path), .keyFileUnreadable(let path, _): "could not read key file \"\(path)\""
    case .keyFileReadable(let path, _): "cannot use key file \"\(path)\""
    case .keyFileMalformed(let path): "cannot use key file \"\(path)\""
    case .wrongKeyFile(let path, _): "cannot unlock the repository with key file \"\(path)\""
    case .recipientMissing(let wanted, _): "cannot unlock the repository with \(wanted)"
    case .envelopeDamaged(let name, _): "cannot use the key envelope \"\(name)\""
    case .formatUnknown(let name, _, _): "cannot read \"\(name)\""
    case .unusable(_, let cause): cause.summary
    case .noneUnlocks: "could not unlock the repository with any recipient of its data key"
    case .recipientTwice(let first, let second): "cannot wrap the data key for \(first) and \(second)"
    }
  }
  public var detail: String? {
    switch self {
    case .keyFileMissing: "There is no such file."
    case .keyFileReadable(_, let mode):
      "Its mode is 0\(String(mode & 0o7777, radix: 8)); others than its owner may read it, and it opens every backup."
    case .keyFileMalformed: "It is not a key file of this program."
    case .keyFileUnreadable(_, let cause): cause.detail
    case .wrongKeyFile(_, let wants): "The repository was made with key file \(wants); this is another one."
    case .recipientMissing(_, let present): "Its data key is wrapped for: \(present.joined(separator: ", "))."
    case .envelopeDamaged(_, let reason): reason
    case .formatUnknown(_, let found, let known):
      "It has format version \(found); this program knows versions up to \(known)."
    case .unusable(_, let cause): cause.detail
    case .noneUnlocks(let failures):
      failures.map { failure in
        "\(failure.recipient): \(failure.cause.detail ?? failure.cause.summary + ".")"
          + (failure.envelope.map { " (\($0))" } ?? "")
      }.joined(separator: "\n")
    case .recipientTwice: "They are the same key."
    }
  }
  public var hint: String? {
    switch self {
    case .keyFileMissing:
      "Bring the key file back from where its copy is kept; without it no backup can be opened. Never make a new one."
    case .keyFileReadable(let path, _): "Run \"chmod 600 \(path)\"."
    case .keyFileMalformed, .wrongKeyFile: "Check \"repository.encryption.key-file\" in the configuration."
    case .keyFileUnreadable(_, let cause): cause.hint
    case .recipientMissing: "Set \"repository.encryption\" in the configuration to what the repository was made with."
    case .envelopeDamaged: "Restore this object from another store or from a copy of the repository."
    case .formatUnknown: "Use a newer version of this program."
    case .unusable(_, let cause): cause.hint
    case .noneUnlocks(let failures):
      (["Any one of them is enough."] + failures.compactMap(\.cause.hint).prefix(1)).joined(separator: " ")
    case .recipientTwice: "Name it once in \"repository.encryption\"."
    }
  }
}
