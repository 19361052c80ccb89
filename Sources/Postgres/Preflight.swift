public import BackupModel

/// Whether a server can be backed up or streamed from, before anything is begun.
public struct Preflight: Sendable, Hashable {
  /// What makes it impossible; the most fundamental first. Empty where it can begin.
  public var failures: [PostgresError]
  /// What works but deserves a look.
  public var warnings: [ErrorReport]

  /// The first failure, thrown.
  public func check() throws {
    if let failure = failures.first { throw failure }
  }

  /// For a base backup.
  /// - Parameter walSenders: Connections it needs: 1, or 2 where the run receives WAL of its own.
  public static func baseBackup(_ facts: ServerFacts, walSenders: Int = 1) -> Preflight {
    // With WAL of its own the run also takes a temporary slot.
    let slots = walSenders > 1 ? 1 : 0
    var warnings: [ErrorReport] = []
    if !facts.dataChecksums {
      warnings.append(
        ErrorReport(
          summary: "server \"\(facts.address)\" has no data checksums",
          detail: "Damaged pages cannot be told from good ones while they are backed up.",
          hint: "Stop the server and run: pg_checksums --enable -D DATADIR."))
    }
    return Preflight(failures: failures(facts, walSenders: walSenders, slots: slots), warnings: warnings)
  }

  /// For streaming WAL.
  /// - Parameter slot: Whether our slot is there already, or has to be made.
  public static func walStreaming(_ facts: ServerFacts, slot: SlotState) -> Preflight {
    var warnings: [ErrorReport] = []
    if facts.maxSlotWALKeepSize == nil {
      warnings.append(
        ErrorReport(
          summary: "a replication slot may fill the disk of server \"\(facts.address)\"",
          detail: "Its max_slot_wal_keep_size is -1: while nobody streams, the slot keeps all WAL.",
          hint: "Choose what fits the disk, such as: ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; "
            + "then SELECT pg_reload_conf();"))
    }
    return Preflight(
      failures: failures(facts, walSenders: 1, slots: slot == .missing ? 1 : 0), warnings: warnings)
  }

  public enum SlotState: Sendable, Hashable { case present, missing }

  private static func failures(_ facts: ServerFacts, walSenders: Int, slots: Int) -> [PostgresError] {
    var failures: [PostgresError] = []
    if facts.majorVersion < 15 { failures.append(.versionTooOld(facts.address, version: facts.versionText)) }
    if facts.blockSize != 8192 { failures.append(.blockSizeUnsupported(facts.address, bytes: facts.blockSize)) }
    if facts.walLevel == "minimal" { failures.append(.walLevelTooLow(facts.address, level: facts.walLevel)) }
    if !facts.hasReplicationAttribute {
      failures.append(.replicationAttributeMissing(role: facts.role, facts.address))
    }
    if facts.freeWALSenders < walSenders {
      failures.append(
        .walSenderUnavailable(
          facts.address,
          reason: "\(walSenders) needed, \(facts.freeWALSenders) free: max_wal_senders is \(facts.maxWALSenders)."))
    }
    if facts.freeReplicationSlots < slots {
      failures.append(
        .slotUnavailable(
          facts.address,
          reason: "\(slots) needed, \(facts.freeReplicationSlots) free: max_replication_slots is "
            + "\(facts.maxReplicationSlots)."))
    }
    return failures
  }
}
