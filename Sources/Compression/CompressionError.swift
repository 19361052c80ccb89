public import BackupModel

/// zstd refused.
public enum CompressionError: OperatorError {
  case outOfMemory
  /// The library's own words.
  case compression(String)
  case expansion(String)
  case lengthDiffers(expected: Int, found: Int)

  public var summary: String {
    switch self {
    case .outOfMemory: "could not get memory for zstd"
    case .compression: "could not compress a frame"
    case .expansion, .lengthDiffers: "could not expand a frame"
    }
  }
  public var detail: String? {
    switch self {
    case .outOfMemory: nil
    case .compression(let text), .expansion(let text): "zstd says: \(text)."
    case .lengthDiffers(let expected, let found): "\(expected) bytes were recorded; the frame holds \(found)."
    }
  }
}
