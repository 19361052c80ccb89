internal import CChecksums

/// PostgreSQL's page checksum.
/// - SeeAlso: PostgreSQL source, `checksum_impl.h`, `pg_checksum_page`; `bufpage.h`, `PageHeaderData`.
public enum PageChecksum {
  private static let hasAVX2 = backupd_page_sum_has_avx2() != 0

  private static let bases: [UInt32] = [
    0x5B1F_36E9, 0xB852_5960, 0x02AB_50AA, 0x1DE6_6D2A, 0x79FF_467A, 0x9BB9_F8A3, 0x217E_7CD2, 0x83E1_3D2C,
    0xF8D4_474F, 0xE39E_B970, 0x42C6_AE16, 0x9932_16FA, 0x7B09_3B5D, 0x98DA_FF3C, 0xF718_902A, 0x0B1C_9CDB,
    0xE58F_764B, 0x1876_36BC, 0x5D7B_3BB1, 0xE73D_E7DE, 0x92BE_C979, 0xCCA6_C0B2, 0x304A_0979, 0x85AA_43D4,
    0x7831_25BB, 0x6CA8_EAA2, 0xE407_EAC6, 0x4B5C_FC3E, 0x9FBF_8C76, 0x15CA_20BE, 0xF2CA_9FD3, 0x959B_D756,
  ]

  public enum Verdict: Sendable, Hashable {
    case fits
    /// Never written: PostgreSQL has no checksum for it.
    case new
    /// Written after the backup began: replay writes it again.
    case newer
    case differs
  }

  /// - Parameters:
  ///   - page: 8192 bytes.
  ///   - block: Number of the block in its relation fork.
  ///   - start: A mismatch on a page whose LSN is at or after this is a page being written: replay restores it.
  public static func verify(_ page: UnsafeRawBufferPointer, block: UInt32, start: UInt64) -> Verdict {
    // pd_upper is zero on a page that was never initialised.
    if page.loadUnaligned(fromByteOffset: 14, as: UInt16.self) == 0 { return .new }
    let stored = page.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
    if compute(page, block: block) == stored { return .fits }
    let high = UInt64(page.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
    let low = UInt64(page.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    return (high << 32 | low) >= start ? .newer : .differs
  }

  /// - Parameter page: 8192 bytes.
  public static func compute(_ page: UnsafeRawBufferPointer, block: UInt32) -> UInt16 {
    compute(page, block: block, withAVX2: hasAVX2)
  }

  static func compute(_ page: UnsafeRawBufferPointer, block: UInt32, withAVX2: Bool) -> UInt16 {
    precondition(page.count == 8192)
    let bytes = page.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let sum = withAVX2 && hasAVX2 ? backupd_page_sum_avx2(bytes, bases) : backupd_page_sum_portable(bytes, bases)
    return UInt16(truncatingIfNeeded: (sum ^ block) % 65535 + 1)
  }
}
