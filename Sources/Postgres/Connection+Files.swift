extension Connection {
  /// Runs a query that the role may lack the right to.
  /// - Returns: Nil where the server refuses it for that reason.
  func queryIfPermitted(
    _ sql: String, _ parameters: [String?] = [], while action: String
  ) throws -> QueryResult? {
    do {
      return try query(sql, parameters, while: action)
    } catch PostgresError.refused(let message, _, _) where message.sqlState == "42501" {
      return nil
    }
  }

  /// The content of a file on the server's host, configuration files above all.
  ///
  /// - Parameters:
  ///   - path: Absolute, or relative to the data directory.
  ///   - limit: Read no more than so many bytes.
  /// - Returns: Nil where there is no such file, and where the role or the server's user may not read it.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public func readServerFile(_ path: String, limit: Int = 16 << 20) throws -> [UInt8]? {
    try readBinaryFile(path, offset: 0, length: limit)
  }

  /// Pages of a relation file, read anew.
  ///
  /// - Parameters:
  ///   - path: Relative to the data directory, such as `base/16384/2619`.
  ///   - offset: Where to begin, in bytes.
  ///   - length: Bytes to read at most; fewer come back at the file's end.
  /// - Returns: Nil where the file is gone, and where the role may not read it.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public func readRelationPage(path: String, offset: Int64, length: Int = 8192) throws -> [UInt8]? {
    try readBinaryFile(path, offset: offset, length: length)
  }

  private func readBinaryFile(_ path: String, offset: Int64, length: Int) throws -> [UInt8]? {
    let result = try queryIfPermitted(
      "SELECT encode(pg_read_binary_file($1, $2::bigint, $3::bigint, true), 'hex')",
      [path, String(offset), String(length)], while: "read file \"\(path)\" of")
    guard let text = result?.scalar else { return nil }
    guard let bytes = Self.bytes(hexadecimal: text) else {
      throw protocolViolation("It sent a file's content that is not hexadecimal.")
    }
    return bytes
  }

  static func bytes(hexadecimal text: String) -> [UInt8]? {
    func digit(_ byte: UInt8) -> UInt8? {
      switch byte {
      case 0x30...0x39: byte - 0x30
      case 0x61...0x66: byte - 0x61 + 10
      default: nil
      }
    }
    var bytes: [UInt8] = []
    var high: UInt8?
    bytes.reserveCapacity(text.utf8.count / 2)
    for character in text.utf8 {
      guard let value = digit(character) else { return nil }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return high == nil ? bytes : nil
  }
}
