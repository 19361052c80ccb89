public import BackupModel
internal import DurableFiles
import Foundation

/// Ended runs, newest first, and what could not be read of them.
public struct RunHistory: Sendable {
  public var runs: [RunRecord]
  /// Lines that could not be understood; they stay in their file.
  public var problems: [ErrorReport]
}

/// The files `runs/<year-month>.jsonl`: one line for each ended run, in the order they ended.
struct RunLog: Sendable {
  let directory: String

  /// Durable on return.
  func append(_ record: RunRecord) throws {
    let finished = (record.finished ?? record.started).compact
    let path = "\(directory)/\(finished.prefix(4))-\(finished.dropFirst(4).prefix(2)).jsonl"
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var line = Array(try encoder.encode(Versioned(record))) + [0x0A]
    if DurableFile.exists(path), try repairEnd(of: path) { line.insert(0x0A, at: 0) }
    try DurableFile.append(line, to: path)
  }

  /// After a crash the file may end within a line, and a new one must not be glued to it. A fragment goes: its run was
  /// never reported as ended and is still among the live ones.
  /// - Returns: Whether the last line is whole and lacks only its end.
  private func repairEnd(of path: String) throws -> Bool {
    var lines = try BackwardLines(path)
    guard let last = try lines.next(), !lines.endedWithNewline else { return false }
    if (try? JSONDecoder().decode(Versioned<RunRecord>.self, from: last)) != nil { return true }
    let file = try Descriptor(opening: path, O_RDWR)
    try file.truncate(to: file.size() - Int64(last.count))
    return false
  }

  /// - Parameters:
  ///   - matching: Text a line must contain, sought before it is decoded: most lines of a long history are not asked for.
  ///   - where: Which runs count.
  func newestFirst(
    limit: Int, matching text: String?, where isWanted: (RunRecord) -> Bool
  ) throws -> RunHistory {
    var history = RunHistory(runs: [], problems: [])
    let names = try DurableFile.names(in: directory).filter { $0.hasSuffix(".jsonl") }
    let needle = text.map { Data($0.utf8) }
    for name in names.reversed() where history.runs.count < limit {
      let path = directory + "/" + name
      var lines = try BackwardLines(path)
      var isLast = true
      while history.runs.count < limit, let line = try lines.next() {
        defer { isLast = false }
        if let needle, line.range(of: needle) == nil { continue }
        if line.isEmpty { continue }
        do {
          let record = try JSONDecoder().decode(Versioned<RunRecord>.self, from: line).value
          if isWanted(record) { history.runs.append(record) }
        } catch let error as NewerVersion {
          history.problems.append(
            ErrorReport(JobStateError.versionUnknown(path: path, version: error.version, keptAs: nil)))
        } catch {
          // The last line without its end is what a crash during writing leaves: the run is still in its live file.
          if isLast, !lines.endedWithNewline { continue }
          let problem = "A line of \(line.count) bytes: \(StateFile.problem(error))"
          history.problems.append(ErrorReport(JobStateError.damaged(path: path, problem: problem, keptAs: nil)))
        }
      }
    }
    return history
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

  init(_ path: String) throws {
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
