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
    try LineFile.append(record, to: "\(directory)/\(Self.month(of: record.finished ?? record.started))")
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
