internal import CZstd

/// Compresses whole frames. One per worker: a context is not thread safe, hence `~Copyable`.
/// - SeeAlso: RFC 8878; `zstd.h`, "Compression context".
public struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// Level 1 is zstd's with matches from 5 bytes on and a table that the processor's first cache holds.
  ///
  /// Found by trying all of 4 to 7 bytes and 2^11 to 2^14 entries in frames of 256 KiB. Over WAL of pgbench, of inserts of
  /// tokens and of loading: a fifth less time than zstd's own level 1, and 1 to 6 % less bytes. Over pages: a quarter to
  /// a third less time; 5 % less bytes of indexes, 1 % more of text, 4 % more of catalogs.
  /// - Parameter level: 1 (fastest) to 19.
  public init(level: Int = 1) throws(CompressionError) {
    let tuned = level == 1 ? [(ZSTD_c_minMatch, 5), (ZSTD_c_hashLog, 12)] : []
    context = try Self.makeContext([(ZSTD_c_compressionLevel, level)] + tuned)
  }

  private static func makeContext(
    _ parameters: [(ZSTD_cParameter, Int)]
  ) throws(CompressionError) -> OpaquePointer {
    guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
    for (parameter, value) in parameters {
      let code = ZSTD_CCtx_setParameter(context, parameter, CInt(value))
      if ZSTD_isError(code) != 0 {
        ZSTD_freeCCtx(context)
        throw .compression(String(cString: ZSTD_getErrorName(code)))
      }
    }
    return context
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Bytes that `compress` may need for `size` bytes.
  public static func bound(_ size: Int) -> Int { ZSTD_compressBound(size) }

  /// - Parameter output: At least ``bound(_:)`` bytes.
  /// - Returns: Bytes written.
  public func compress(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    let count = ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
    if ZSTD_isError(count) != 0 { throw .compression(String(cString: ZSTD_getErrorName(count))) }
    return count
  }
}
