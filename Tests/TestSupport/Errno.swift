internal import Glibc

/// The C library's word for an error number.
enum Errno {
  static func text(_ number: Int32) -> String { String(cString: strerror(number)) + " (\(number))" }

  /// - Throws: ``TestSupportError/systemCall(_:path:errno:)`` where the result is negative.
  @discardableResult
  static func check(_ result: Int32, _ call: String, _ path: String) throws -> Int32 {
    guard result >= 0 else { throw TestSupportError.systemCall(call, path: path, errno: errno) }
    return result
  }
}
