internal import BackupModel
internal import Postgres

/// Which tablespace each database lies in.
///
/// ALTER DATABASE … SET TABLESPACE copies the database's files and removes them at the old place. Neither is in the WAL
/// but by name: replay copies what the base backup has of the old place, which is nothing where it was read after the
/// move, or only some files. Recovery ends without an error, and the database is gone. So a backup during which one moved
/// is none. There and back again within one backup is not noticed.
/// - SeeAlso: PostgreSQL source, `dbcommands.c`, `movedb` and `dbase_redo`.
struct DatabasePlaces {
  private struct Place: Hashable {
    var name: String
    var tablespace: String
  }
  /// By the database's OID.
  private var places: [String: Place] = [:]

  /// Asks the server.
  static func read(_ connection: Connection) throws -> DatabasePlaces {
    let result = try connection.query(
      "SELECT oid, datname, dattablespace FROM pg_database", while: "look for the databases of")
    var found = DatabasePlaces()
    for row in result.rows.indices {
      guard let oid = result[row, "oid"], let name = result[row, "datname"],
        let tablespace = result[row, "dattablespace"]
      else { continue }
      found.places[oid] = Place(name: name, tablespace: tablespace)
    }
    return found
  }

  /// The name of a database that lies elsewhere now; nil where none does.
  func moved(by later: DatabasePlaces) -> String? {
    places.sorted { $0.key < $1.key }.first { oid, place in
      later.places[oid].map { $0.tablespace != place.tablespace } ?? false
    }?.value.name
  }
}
