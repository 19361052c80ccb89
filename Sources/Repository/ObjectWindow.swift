internal import BackupModel
internal import Storage

/// Reads parts of one object in one store through a window of memory that moves along it: parts that follow one another
/// cost one request, not one each. To a store across a network a request takes as long as a mebibyte. Used by one thread
/// at a time.
final class ObjectWindow {
  /// An object up to this size is read whole at first.
  static let wholeSize: Int64 = 1 << 20
  /// What is read at first of a larger one: its end, with footer and table.
  static let endSize: Int64 = 256 << 10
  /// Parts so close to the last one still count as the next.
  private static let gap: Int64 = 64 << 10

  private let source: any ObjectStore
  private let name: ObjectName
  private let step: Int
  private var offset: Int64
  private var bytes: [UInt8]
  /// Where what was asked for last ended.
  private var next: Int64

  /// - Parameters:
  ///   - size: Of the whole object.
  ///   - first: Where parts begin that are read one after another.
  ///   - step: Bytes of the window once they are.
  init(_ source: any ObjectStore, _ name: ObjectName, size: Int64, first: Int64, step: Int) throws {
    self.source = source
    self.name = name
    self.step = step
    next = first
    offset = size <= Self.wholeSize ? 0 : size - Self.endSize
    bytes = []
    try load(at: offset, count: Int(size - offset))
  }

  /// Hands out a part, valid during the call.
  /// - Parameter limit: Beyond it nothing is read that is not asked for.
  func withBytes<Result>(
    at position: Int64, count: Int, before limit: Int64, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    if position < offset || position + Int64(count) > offset + Int64(bytes.count) {
      try move(to: position, count: count, before: limit)
    }
    next = position + Int64(count)
    let start = Int(position - offset)
    return try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
  }

  func read(at position: Int64, count: Int) throws -> [UInt8] {
    try withBytes(at: position, count: count, before: position) { Array($0) }
  }

  private func move(to position: Int64, count: Int, before limit: Int64) throws {
    let isNext = position >= next && position - next <= Self.gap
    let ahead = isNext ? max(count, Int(min(Int64(step), limit - position))) : count
    do {
      try load(at: position, count: ahead)
    } catch let error as StorageError {
      // What lies behind may be what cannot be read.
      guard ahead > count, !error.isMissing else { throw error }
      try load(at: position, count: count)
    }
  }

  private func load(at position: Int64, count: Int) throws {
    if bytes.count != count { bytes = [UInt8](repeating: 0, count: count) }
    // Nothing half filled is ever taken for content.
    offset = .max
    try bytes.withUnsafeMutableBytes { try source.read(name, at: position, into: $0) }
    offset = position
  }
}
