#if canImport(Glibc)
  import Glibc
#endif

/// Arrays of C strings for the length of a call.
enum CStrings {
  /// `body` gets one pointer for each text, NULL for nil, and a NULL after the last.
  static func with<Result>(
    _ texts: [String?], _ body: ([UnsafePointer<CChar>?]) throws -> Result
  ) rethrows -> Result {
    let copies = texts.map { $0.map { strdup($0) } ?? nil }
    defer { for copy in copies { free(copy) } }
    return try body(copies.map { $0.map { UnsafePointer($0) } } + [nil])
  }
}
