internal import BackupModel
internal import DurableFiles
internal import Postgres
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// What a server has left for a scratch database.
struct ServerRoom {
  /// Ours, and some for those who come meanwhile.
  static let neededConnections = 5
  /// A table with its indexes takes up to so many times what its rows take in a dump.
  static let growth: Int64 = 2
  /// This part of a disk stays free: 1/20.
  static let reserve: Int64 = 20

  private let freeConnections: Int?
  /// Where the server keeps its files, where that is on this host and the role may know.
  private let directory: String?

  init(_ session: Connection) throws {
    let connections = try session.query(
      """
      SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS free
      """, while: "count connections")
    freeConnections = connections.scalar.flatMap { Int($0) }
    guard session.address.isLocal else {
      directory = nil
      return
    }
    directory = try session.query(
      """
      SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory', true) END
      """, while: "read data_directory"
    ).scalar
  }

  /// - Throws: ``HealthError/connectionsLacking(free:needed:)``, ``HealthError/spaceLacking(_:directory:needed:free:)``,
  ///   `FileError`.
  func require(for header: ManifestHeader) throws {
    if let freeConnections, freeConnections < Self.neededConnections {
      throw HealthError.connectionsLacking(free: freeConnections, needed: Self.neededConnections)
    }
    guard let directory else { return }
    var facts = statvfs()
    // A directory that only the server may look into is on a disk that its parents are on as a rule.
    var place = directory
    while statvfs(place, &facts) != 0 {
      guard errno == EACCES, place != "/" else { throw FileError.last("ask for the free space of", place) }
      place = DurableFile.parent(of: place)
    }
    let block = Int64(clamping: UInt64(facts.f_frsize))
    let total = Int64(clamping: UInt64(facts.f_blocks)) * block
    let free = max(0, Int64(clamping: UInt64(facts.f_bavail)) * block - total / Self.reserve)
    let needed = header.totalBytes.value * Self.growth
    if free < needed {
      throw HealthError.spaceLacking(
        header.id, directory: place, needed: ByteCount(needed), free: ByteCount(free))
    }
  }
}
