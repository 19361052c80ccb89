internal import CZstd

/// Expands zstd frames of known size. One per worker: a context is not thread safe, hence `~Copyable`.
/// - SeeAlso: RFC 8878; `zstd.h`, "Decompression context".
public struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer

  public init() throws(CompressionError) {
    guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// - Parameter output: Exactly as long as what was compressed.
  /// - Throws: ``CompressionError/lengthDiffers(expected:found:)`` where the frame holds another number of bytes.
  public func expand(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    let count = ZSTD_decompressDCtx(context, output.baseAddress, output.count, input.baseAddress, input.count)
    if ZSTD_isError(count) != 0 { throw .expansion(String(cString: ZSTD_getErrorName(count))) }
    guard count == output.count else { throw .lengthDiffers(expected: output.count, found: count) }
  }
}
