public import BackupModel

/// The cryptographic library refused, or what it was given is not authentic.
public enum CryptographyError: OperatorError {
  /// The named operation of OpenSSL failed.
  case library(String)
  /// The tag does not fit: other key, other place, or changed bytes.
  case notAuthentic

  public var summary: String {
    switch self {
    case .library(let operation): "could not \(operation) with OpenSSL"
    case .notAuthentic: "could not open sealed bytes"
    }
  }
  public var detail: String? {
    switch self {
    case .library: nil
    case .notAuthentic:
      "Their authentication tag does not fit: the bytes were changed, moved, or sealed with another key."
    }
  }
}
