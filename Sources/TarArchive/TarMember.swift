/// One entry of an archive.
public struct TarMember: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case file
    case directory
    /// The target as it is written, absolute or not.
    case symbolicLink(target: String)
  }

  /// Relative, without `.`, `..` or empty components and without a slash at the end; `.` for the root itself.
  public var path: String
  public var kind: Kind
  /// Bytes of content; zero unless a file.
  public var size: Int64
  /// Permission bits.
  public var mode: UInt32
  /// Seconds since 1970-01-01T00:00:00Z.
  public var modified: Int64
  public var user: Int64
  public var group: Int64

  public init(
    path: String, kind: Kind, size: Int64, mode: UInt32, modified: Int64, user: Int64, group: Int64
  ) {
    self.path = path
    self.kind = kind
    self.size = size
    self.mode = mode
    self.modified = modified
    self.user = user
    self.group = group
  }
}

/// What ``TarParser`` finds, in order: a member, its data in pieces, its end.
public enum TarEvent {
  case member(TarMember)
  /// A slice of the caller's own buffer, valid as long as that one.
  case data(UnsafeRawBufferPointer)
  /// Follows every member, also those without data.
  case memberEnd
}
