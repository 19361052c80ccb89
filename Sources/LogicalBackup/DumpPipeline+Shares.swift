internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository
internal import ServerPrograms

extension DumpPipeline {
  /// A table may be dropped after it was listed; to list again is tried so often.
  private static let attempts = 3

  /// Takes the snapshot, and where several streams are wanted divides the tables among them: listed before it, locked by its
  /// own session, so that nobody changes or truncates one between the snapshot and the lock of the pg_dump that reads it.
  func snapshot(
    _ session: Connection, _ program: String, _ connection: ProgramConnection, _ cancellation: Cancellation
  ) throws -> (ExportedSnapshot, DumpShares, notes: [String]) {
    let dump = options.dump
    guard dump.parallel > 1, dump.content != .schema else {
      return (try ExportedSnapshot(session, isSerializable: dump.serializableDeferrable), DumpShares(), [])
    }
    for attempt in 1... {
      let listing: TableListing
      do {
        listing = try TableListing(
          program, common(connection, lockWait: dump.lockWait) + dump.choice, connection.environment, session,
          content: dump.content,
          cancellation)
      } catch let error as ArchiveContents.Malformed {
        let note = "The dump is one stream: \(error.summary). \(error.detail ?? "")"
        return (try ExportedSnapshot(session, isSerializable: dump.serializableDeferrable), DumpShares(), [note])
      }
      let shares = DumpShares(listing.tables, rest: listing.rest, streams: dump.parallel)
      do {
        let snapshot = try ExportedSnapshot(
          session, isSerializable: dump.serializableDeferrable, locking: shares.others.joined().map(\.quoted),
          lockTimeout: dump.lockTimeout)
        return (snapshot, try checked(listing, session), [])
      } catch PostgresError.refused(let message, _, _) where Self.isGone(message) && attempt < Self.attempts {
        _ = try session.query("ROLLBACK", while: "begin anew on")
      }
    }
    preconditionFailure("the last attempt returns or throws")
  }

  /// undefined_table, invalid_schema_name.
  private static func isGone(_ message: ServerMessage) -> Bool { ["42P01", "3F000"].contains(message.sqlState) }

  private func checked(_ listing: TableListing, _ session: Connection) throws -> DumpShares {
    let present = try TableListing.present(listing.tables, session)
    var shares = DumpShares(present, rest: listing.rest, streams: options.dump.parallel)
    shares.listed = listing.oids
    return shares
  }

  /// Proves that no table was lost between the streams: its rows are in exactly one of them.
  /// - Parameter contents: Of the main archive, then of the others in their order.
  /// - Throws: ``DumpError/tablesAstray(_:_:)``.
  func prove(_ contents: [ArchiveContents], _ prepared: Prepared) throws {
    guard let main = contents.first, contents.count == prepared.shares.others.count + 1,
      contents.allSatisfy(\.isComplete)
    else { throw ArchiveContents.Malformed(what: "one of several archives ends within its table of contents") }
    // What pg_dump itself defines is what it would have dumped alone; without definitions, what it was found to define.
    let wanted = options.dump.content == .all ? main.tables : prepared.shares.listed
    let expected = try TableListing.withRows(wanted, prepared.session)
    let astray = prepared.shares.astray(contents, expected: Set(expected.keys))
    guard astray.isEmpty else {
      let names = try TableListing.withRows(astray, prepared.session)
      throw DumpError.tablesAstray(options.cluster, astray.sorted().map { names[$0] ?? "table \($0)" })
    }
  }
}
