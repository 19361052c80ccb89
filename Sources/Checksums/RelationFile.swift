/// Recognises relation forks by their path.
///
/// - SeeAlso: PostgreSQL source, `relpath.c`; `basebackup.c`, `is_checksummed_file`.
public enum RelationFile {
  /// Blocks in a full segment of a relation: 1 GiB.
  public static let blocksPerSegment: UInt32 = 131_072

  /// The number of the first block in a relation fork's file; nil for a file whose pages carry no checksum.
  /// - Parameter path: Relative to the data directory, `base/5/1259`, `pg_tblspc/16385/PG_15_202209061/5/16390_fsm.1`.
  public static func firstBlock(_ path: String) -> UInt32? {
    guard path.hasPrefix("base/") || path.hasPrefix("global/") || path.hasPrefix("pg_tblspc/"),
      let slash = path.utf8.lastIndex(of: 0x2F)
    else { return nil }
    let name = path[path.utf8.index(after: slash)...]
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let stem = parts.first else { return nil }
    let fork = stem.split(separator: "_", omittingEmptySubsequences: false)
    guard let number = fork.first, isNumber(number), fork.count <= 2 else { return nil }
    if fork.count == 2 {
      guard fork[1] == "fsm" || fork[1] == "vm" || fork[1] == "init" else { return nil }
    }
    if parts.count == 1 { return 0 }
    guard isNumber(parts[1]), let segment = UInt32(parts[1]), segment < UInt32.max / blocksPerSegment else {
      return nil
    }
    return segment * blocksPerSegment
  }

  private static func isNumber(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}
