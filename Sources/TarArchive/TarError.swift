public import BackupModel

/// Where in an archive something is wrong.
public struct TarPlace: Sendable, Hashable, CustomStringConvertible {
  /// The archive as the caller named it, such as `base.tar`.
  public var archive: String
  /// The member's path; nil between members.
  public var member: String?
  /// Bytes from the archive's beginning to the header or block in question.
  public var offset: Int64

  public init(archive: String, member: String?, offset: Int64) {
    self.archive = archive
    self.member = member
    self.offset = offset
  }
  public var description: String {
    (member.map { "member \"\($0.prefix(300))\" of " } ?? "") + "archive \"\(archive)\" at byte \(offset)"
  }
}

/// An archive that cannot be read further.
public enum TarError: OperatorError, Hashable {
  /// The header's checksum does not match it.
  case headerDamaged(TarPlace)
  /// A number is not one, negative or out of range. `field` is its name in the format.
  case fieldInvalid(TarPlace, field: String)
  /// A long name or an extended header that breaks its own format.
  case extensionInvalid(TarPlace, reason: String)
  /// A path that leads out of the archive, or is none.
  case pathRefused(TarPlace, path: String)
  /// A hard link, device, sparse file or the like. `type` is the header's type flag.
  case kindRefused(TarPlace, type: Character)
  /// The archive ends in the middle of a header or a member.
  case truncated(TarPlace)
  /// The two zero blocks at the end are not there.
  case endMissing(TarPlace)
  /// Something follows the end.
  case dataAfterEnd(TarPlace)

  /// Where.
  public var place: TarPlace {
    switch self {
    case .headerDamaged(let place), .fieldInvalid(let place, _), .extensionInvalid(let place, _),
      .pathRefused(let place, _), .kindRefused(let place, _), .truncated(let place), .endMissing(let place),
      .dataAfterEnd(let place):
      place
    }
  }

  public var summary: String { "cannot read \(place)" }

  public var detail: String? {
    switch self {
    case .headerDamaged: "The header's checksum does not match its content."
    case .fieldInvalid(_, let field): "The header's field \"\(field)\" is not a number of the allowed range."
    case .extensionInvalid(_, let reason): reason
    case .pathRefused(_, let path):
      "The path \"\(path.prefix(300))\" is empty, absolute, not UTF-8, or leads out of the archive."
    case .kindRefused(_, let type): "It is neither a file, a directory nor a symbolic link: type \"\(type)\"."
    case .truncated: "The archive ends in the middle of it."
    case .endMissing: "The archive ends without its two zero blocks: the end of it is lost."
    case .dataAfterEnd: "There is more after the two zero blocks that end it."
    }
  }

  public var hint: String? {
    switch self {
    case .truncated, .endMissing: "Run the backup again; the server's log may say why the stream ended."
    case .kindRefused, .pathRefused: "Move it out of the data directory: PostgreSQL itself keeps no such files there."
    default: nil
    }
  }
}
