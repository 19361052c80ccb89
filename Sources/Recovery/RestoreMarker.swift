internal import BackupModel
internal import DurableFiles
import Foundation
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// `backupd-restore.json` at the top of a data directory that is being restored: what was begun there, so that it can
/// be undone. Gone once the restore is complete.
struct RestoreMarker: Codable, Sendable {
  static let fileName = "backupd-restore.json"
  static let formatVersion = 1

  var format: Int
  var cluster: ClusterID
  var systemIdentifier: SystemIdentifier
  var backup: BackupID
  var started: Timestamp
  var tablespaces: [String: String]
  var walDirectory: String?
  var configurationDirectory: String?
  var configurationPrefix: String

  init(plan: RestorePlan, layout: DirectoryLayout) {
    format = Self.formatVersion
    cluster = plan.lineage.cluster
    systemIdentifier = plan.lineage.systemIdentifier
    backup = plan.backup
    started = .now()
    tablespaces = layout.tablespaces
    walDirectory = layout.walDirectory
    configurationDirectory = layout.configurationDirectory
    configurationPrefix = layout.configurationPrefix
  }

  static func path(in directory: String) -> String { directory + "/" + fileName }

  func layout(of directory: String) -> DirectoryLayout {
    DirectoryLayout(
      directory: directory, tablespaces: tablespaces, walDirectory: walDirectory,
      configurationDirectory: configurationDirectory, configurationPrefix: configurationPrefix)
  }

  /// Nil where none is there, or one that was never completed: then nothing else had been written either.
  static func read(in directory: String) throws -> RestoreMarker? {
    let bytes: [UInt8]
    do {
      bytes = try DurableFile.read(path(in: directory), limit: 1 << 20)
    } catch let error where error.isMissing {
      return nil
    }
    guard let marker = try? JSONDecoder().decode(RestoreMarker.self, from: Data(bytes)),
      marker.format == formatVersion
    else { return nil }
    return marker
  }

  /// Written in place, since the lock is on this very file. Durable on return.
  func write(in directory: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    let bytes = Array(try encoder.encode(self))
    let file = try Descriptor(opening: Self.path(in: directory), O_WRONLY)
    try bytes.withUnsafeBufferPointer { try file.writeAll(UnsafeRawBufferPointer($0)) }
    try file.truncate(to: Int64(bytes.count))
    try file.sync()
    try DurableFile.syncDirectory(directory)
  }
}
