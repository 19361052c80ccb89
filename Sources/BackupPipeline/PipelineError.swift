public import BackupModel

/// A backup that could not be taken.
public enum PipelineError: OperatorError {
  /// The stream lacks what a backup cannot be without.
  case fileMissing(String, ClusterID)
  case pathTwice(String, ClusterID)
  /// A file name that is not UTF-8: no manifest can hold it.
  case nameNotText(String)
  /// The job asks for the files themselves, and they cannot be had.
  case directImpossible(ClusterID, reason: String)
  case controlFileTorn(String)
  /// What arrived is not what the server says it sent.
  case checksumDiffers(path: String, server: String, received: String)
  case sizeDiffers(path: String, server: UInt64, received: UInt64)
  case serverManifestMalformed(ClusterID, line: String)
  /// PostgreSQL cannot replay it.
  case databaseMoved(String, ClusterID)
  case timelineChanged(ClusterID, from: TimelineID, to: TimelineID)
  /// WAL that a restore needs is not in the stores.
  case walNotProven(ClusterID, start: LSN, stop: LSN, proven: LSN?, cause: ErrorReport?)

  public var summary: String {
    switch self {
    case .walNotProven(let cluster, _, _, _, _): "could not complete the backup of cluster \"\(cluster)\""
    case .fileMissing(_, let cluster), .pathTwice(_, let cluster), .serverManifestMalformed(let cluster, _):
      "could not use the base backup of cluster \"\(cluster)\""
    case .nameNotText(let directory): "cannot back up a file in \"\(directory)\""
    case .directImpossible(let cluster, _): "cannot read the files of cluster \"\(cluster)\" in place"
    case .controlFileTorn(let path): "could not read \"\(path)\""
    case .timelineChanged(let cluster, _, _), .databaseMoved(_, let cluster):
      "could not complete the backup of cluster \"\(cluster)\""
    case .checksumDiffers(let path, _, _), .sizeDiffers(let path, _, _):
      "could not use the base backup: \"\(path)\" arrived changed"
    }
  }
  public var detail: String? {
    switch self {
    case .fileMissing(let path, _): "The server's stream ended without \"\(path)\"."
    case .pathTwice(let path, _): "The server sent \"\(path)\" twice."
    case .checksumDiffers(_, let server, let received):
      "The server's manifest says CRC-32C \(server); the bytes received have \(received)."
    case .sizeDiffers(_, let server, let received):
      "The server's manifest says \(server) bytes; \(received) were received."
    case .nameNotText: "Its name is not UTF-8."
    case .directImpossible(_, let reason): reason
    case .controlFileTorn: "Its checksum was wrong each time it was read."
    case .serverManifestMalformed(_, let line): "A line of its manifest is not understood: \(line.prefix(200))"
    case .databaseMoved(let name, _):
      "Database \"\(name)\" was moved to another tablespace meanwhile. Its files are not in the WAL, and a restore would lose it."
    case .timelineChanged(_, let from, let to): "It began on timeline \(from) and ended on timeline \(to)."
    case .walNotProven(_, let start, let stop, let proven, let cause):
      "Restoring it needs all WAL from \(start) to \(stop); the stores hold it "
        + (proven.map { "up to \($0)" } ?? "not from the beginning") + "."
        + (cause.map { " \($0.summary)" + ($0.detail.map { ": \($0)" } ?? "") } ?? "")
    }
  }
  public var hint: String? {
    switch self {
    case .fileMissing, .pathTwice, .checksumDiffers, .sizeDiffers:
      "Run the job again; if it repeats, look for network equipment or memory that changes data."
    case .nameNotText:
      "Files of PostgreSQL have plain names: find out whose it is, and move it out of the data directory."
    case .directImpossible:
      "Correct \"data-directory\" and the daemon's right to read it, or set \"source: stream\" or \"auto\"."
    case .controlFileTorn: "Run \"pg_controldata\" on the data directory; if it complains too, the disk is failing."
    case .serverManifestMalformed: "Report this with the server's version."
    case .databaseMoved: "Run the job again, and move databases while no backup is taken."
    case .timelineChanged: "The server, or the one it follows, was promoted meanwhile; run the job again."
    case .walNotProven(_, _, _, _, let cause):
      cause?.hint ?? "Run \"backupctl wal status\" to see why WAL does not arrive."
    }
  }
}
