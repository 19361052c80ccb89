import BackupModel
import DurableFiles
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The files of a dump of several streams: `main.dump`, `data-1.dump`, … in a directory of their own.
struct DumpDirectory {
  static let main = "main.dump"

  let path: String
  /// One that an earlier call wrote may be there.
  let isReplaced: Bool

  init(path: String, isReplaced: Bool) {
    // Completion ends the name of a directory with one; what is written first lies beside it, not in it.
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
    self.isReplaced = isReplaced
  }

  private static func name(_ number: Int) -> String { number == 0 ? main : "data-\(number).dump" }

  /// Writes the streams under another name until all of them are whole and durable.
  /// - Parameter copy: Writes a stream to a descriptor and says how much that was.
  func write(_ streams: [String], _ copy: (String, CInt, String) throws -> Int64) throws -> Int64 {
    if DurableFile.exists(path) { try requireOurs() }
    let temporary = path + ".tmp-\(getpid())"
    guard mkdir(temporary, 0o700) == 0 else { throw FileError.last("create", temporary) }
    defer { try? FileManager.default.removeItem(atPath: temporary) }
    var bytes: Int64 = 0
    for (number, stream) in streams.enumerated() {
      let name = temporary + "/" + Self.name(number)
      let file = try Descriptor(opening: name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
      bytes += try copy(stream, file.number, path)
      try file.sync()
    }
    try DurableFile.syncDirectory(of: temporary + "/" + Self.main)
    try publish(temporary)
    try DurableFile.syncDirectory(of: path)
    return bytes
  }

  private func publish(_ temporary: String) throws {
    guard DurableFile.exists(path) else {
      guard rename(temporary, path) == 0 else { throw FileError.last("rename into place", path) }
      return
    }
    try requireOurs()
    let old = path + ".old-\(getpid())"
    guard rename(path, old) == 0 else { throw FileError.last("rename", path) }
    guard rename(temporary, path) == 0 else {
      let error = FileError.last("rename into place", path)
      rename(old, path)
      throw error
    }
    try FileManager.default.removeItem(atPath: old)
  }

  /// Nothing that anybody else put there is deleted.
  private func requireOurs() throws {
    guard isReplaced else { throw FileExists(path: path) }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let ours = Set((0..<max(1, names.count)).map(Self.name))
    guard Set(names) == ours else { throw NotOurs(path: path) }
  }
}

/// What is there was not written by `dump`.
struct NotOurs: OperatorError {
  var path: String
  var summary: String { "cannot replace \"\(path)\"" }
  var detail: String? { "It is no directory that holds the files of a dump of several streams and nothing else." }
  var hint: String? { "Name another directory." }
}
