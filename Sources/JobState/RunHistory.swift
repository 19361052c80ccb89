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
    let path = "\(directory)/\(Self.month(of: record.finished ?? record.started))"
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

  /// How each of some runs ended, of those that did, in one pass over what was written since the first of them began.
  func ends(of runs: [RunID: RunRecord]) throws -> [RunID: RunRecord] {
    guard let first = runs.values.map(\.started).min() else { return [:] }
    let ids = Dictionary(uniqueKeysWithValues: runs.keys.map { ($0.text, $0) })
    let needle = Data("\"run\":\"".utf8)
    var found: [RunID: RunRecord] = [:]
    for name in try names(from: Self.month(of: first)) {
      guard var lines = try lines(of: directory + "/" + name) else { continue }
      while found.count < runs.count, let line = try lines.next() {
        guard let key = line.range(of: needle) else { continue }
        let text = String(decoding: line[key.upperBound...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
        guard let id = ids[text], found[id] == nil,
          let record = try? JSONDecoder().decode(Versioned<RunRecord>.self, from: line).value, record.run == id
        else { continue }
        found[id] = record
      }
    }
    return found
  }

  /// Removes the files of months that lie before the one of `time` in whole.
  /// - Returns: How many went.
  func prune(before time: Timestamp) throws -> Int {
    let kept = Self.month(of: time)
    let old = try names(from: "").filter { $0 < kept }
    for name in old { try DurableFile.remove(directory + "/" + name) }
    return old.count
  }

  /// Nil where the file has just been pruned.
  private func lines(of path: String) throws -> BackwardLines? {
    do throws(FileError) {
      return try BackwardLines(path)
    } catch {
      if error.isMissing { return nil }
      throw error
    }
  }

  /// The file of the month a time lies in; names sort as months do.
  private static func month(of time: Timestamp) -> String {
    "\(time.compact.prefix(4))-\(time.compact.dropFirst(4).prefix(2)).jsonl"
  }

  /// The files of all months from one on, newest first.
  private func names(from first: String) throws -> [String] {
    try DurableFile.names(in: directory).filter { $0.hasSuffix(".jsonl") && $0 >= first }.sorted(by: >)
  }

  /// - Parameters:
  ///   - matching: Text a line must contain, sought before it is decoded: most lines of a long history are not asked for.
  ///   - where: Which runs count.
  func newestFirst(
    limit: Int, matching text: String?, where isWanted: (RunRecord) -> Bool
  ) throws -> RunHistory {
    var history = RunHistory(runs: [], problems: [])
    let needle = text.map { Data($0.utf8) }
    for name in try names(from: "") where history.runs.count < limit {
      let path = directory + "/" + name
      guard var lines = try lines(of: path) else { continue }
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
