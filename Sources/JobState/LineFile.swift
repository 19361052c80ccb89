internal import DurableFiles
import Foundation

/// A file of JSON values, a line each, that only grows.
enum LineFile {
  /// Durable on return.
  static func append<Value: Codable>(_ value: Value, to path: String) throws { try append([value], to: path) }

  /// Several at once, with one wait for the disk.
  static func append<Value: Codable>(_ values: [Value], to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var lines: [UInt8] = []
    for value in values {
      lines += try encoder.encode(Versioned(value))
      lines.append(0x0A)
    }
    if DurableFile.exists(path), try repairEnd(of: path, Value.self) { lines.insert(0x0A, at: 0) }
    try DurableFile.append(lines, to: path)
  }

  /// After a crash the file may end within a line, and a new one must not be glued to it. A fragment goes: what it was to
  /// say was never reported as written.
  /// - Returns: Whether the last line is whole and lacks only its end.
  private static func repairEnd<Value: Codable>(of path: String, _ type: Value.Type) throws -> Bool {
    var lines = try BackwardLines(path)
    guard let last = try lines.next(), !lines.endedWithNewline else { return false }
    if (try? JSONDecoder().decode(Versioned<Value>.self, from: last)) != nil { return true }
    let file = try Descriptor(opening: path, O_RDWR)
    try file.truncate(to: file.size() - Int64(last.count))
    return false
  }
}

/// The lines of a file from its end to its beginning, a block at a time.
struct BackwardLines: ~Copyable {
  private let file: Descriptor
  private var position: Int64
  /// Bytes read and not yet returned; they lie directly before what has been returned.
  private var pending = Data()
  /// So many bytes at its end hold no newline.
  private var searched = 0
  private var isFirst = true
  private(set) var endedWithNewline = true
  private var isExhausted = false
  private static let block = 64 << 10

  init(_ path: String) throws(FileError) {
    let opened = try Descriptor(opening: path, O_RDONLY)
    position = try opened.size()
    file = opened
  }

  mutating func next() throws -> Data? {
    while true {
      if isFirst, !pending.isEmpty {
        isFirst = false
        endedWithNewline = pending.last == 0x0A
        if endedWithNewline { pending.removeLast() }
      }
      if !isFirst, let newline = lastNewline() {
        let line = Data(pending[(newline + 1)...])
        pending = Data(pending[..<newline])
        return line
      }
      // No line of ours is so long; what is, is not kept in memory whole.
      if pending.count > 4 << 20 {
        searched = 0
        defer { pending = Data() }
        return pending
      }
      if position == 0 {
        guard !isFirst, !isExhausted else { return nil }
        isExhausted = true
        return pending
      }
      let count = Int(min(position, Int64(Self.block)))
      var block = Data(count: count)
      let read = try block.withUnsafeMutableBytes { try file.readAll(into: $0, at: position - Int64(count)) }
      position -= Int64(count)
      pending = block.prefix(read) + pending
    }
  }

  /// The last newline of what has not been searched before.
  private mutating func lastNewline() -> Int? {
    let found = pending.withUnsafeBytes { $0.dropLast(searched).lastIndex(of: 0x0A) }
    searched = found == nil ? pending.count : 0
    return found
  }
}
