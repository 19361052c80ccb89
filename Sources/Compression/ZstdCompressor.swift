internal import CZstd

/// Compresses whole frames. One per worker: a context is not thread safe, hence `~Copyable`.
/// - SeeAlso: RFC 8878; `zstd.h`, "Compression context".
public struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Parameter level: 1 (fastest) to 19.
  public init(level: Int = 1) throws(CompressionError) {
    context = try Self.makeContext(level: level)
  }

  private static func makeContext(level: Int) throws(CompressionError) -> OpaquePointer {
    guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
    let code = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, CInt(level))
    if ZSTD_isError(code) != 0 {
      ZSTD_freeCCtx(context)
      throw .compression(String(cString: ZSTD_getErrorName(code)))
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
