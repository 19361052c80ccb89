internal import BackupModel
internal import Storage

/// Reads parts of one object in one store through a window of memory that moves along it: parts that follow one another
/// cost one request, not one each. To a store across a network a request takes as long as a mebibyte. Used by one thread
/// at a time.
final class ObjectWindow {
  /// Parts so close to the last one still count as the next.
  private static let gap: Int64 = 64 << 10
  private static let alongHeader: Int64 = 1 << 20

  private let source: any ObjectStore
  private let name: ObjectName
  private let step: Int
  /// Of the whole object.
  let size: Int64
  /// The object's end, with footer and table; all of a short object.
  private var end: [UInt8]
  private var offset = Int64.max
  private var bytes: [UInt8] = []
  /// Where what was asked for last ended.
  private var next: Int64 = 0

  /// Reads the end, of a short object all.
  /// - Parameters:
  ///   - end: How much of it.
  ///   - step: Bytes of the window once parts are read one after another, from the beginning on; 0 never reads ahead.
  init(_ source: any ObjectStore, _ name: ObjectName, end: Int, step: Int) throws {
    self.source = source
    self.name = name
    self.step = step
    self.end = [UInt8](repeating: 0, count: end)
    guard let size = try self.end.withUnsafeMutableBytes({ try source.readEnd(name, into: $0) }) else {
      throw StorageError.missing(name, in: source.location)
    }
    if size < Int64(end) { self.end.removeLast(end - Int(size)) }
    self.size = size
  }

  /// The table was read. The end takes memory no longer, unless it is the whole object.
  func dropEnd() { if Int64(end.count) < size { end = [] } }

  /// Hands out a part, valid during the call.
  /// - Parameter limit: Beyond it nothing is read that is not asked for.
  func withBytes<Result>(
    at position: Int64, count: Int, before limit: Int64, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let start = position - (size - Int64(end.count))
    if start >= 0, Int(start) + count <= end.count {
      return try end.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[Int(start)..<Int(start) + count])) }
    }
    if position < offset || position + Int64(count) > offset + Int64(bytes.count) {
      try move(to: position, count: count, before: limit)
    }
    next = position + Int64(count)
    let first = Int(position - offset)
    return try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[first..<first + count])) }
  }

  /// Header, footer and table. What follows the header is read along, a little of it: most go on there.
  func read(at position: Int64, count: Int) throws -> [UInt8] {
    let limit = min(size - Int64(end.count), position + Self.alongHeader)
    return try withBytes(at: position, count: count, before: limit) { Array($0) }
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
