import BackupModel
import Repository

// The documents of `backups` and `show`; described in docs/reference/json.md.

extension Backup: JSONConvertible {
  var json: JSONValue { .object(fields) }

  var fields: [String: JSONValue] {
    [
      "id": id.json, "cluster": cluster.json, "kind": kind.json, "job": job.json, "started": started.json,
      "finished": finished.json, "startLSN": startLSN.json, "stopLSN": stopLSN.json, "timeline": timeline.json,
      "systemIdentifier": systemIdentifier.json, "sequence": sequence.json, "totalBytes": totalBytes.json,
      "newBytes": newBytes.json, "storedBytes": storedBytes.json, "parent": parent.json, "stores": stores.json,
      "missingStores": missingStores.json, "deleted": deleted.json, "database": database.json,
      "snapshot": snapshot.json,
    ]
  }
}

extension ManifestHeader {
  /// The keys of `backups` and what only the manifest knows.
  /// - Parameter contents: Of a dump, as `pg_restore --list` has it; nil where that is not known.
  func document(_ backup: Backup, contents: [String]?) -> JSONValue {
    var more: [String: JSONValue] = [
      "run": run.json, "serverVersion": serverVersion.json, "walSegmentBytes": walSegmentBytes.json,
      "dataChecksums": dataChecksums.json, "source": source.json, "tablespaces": tablespaces.json,
      "fileCount": fileCount.json, "pagesRead": pagesRead.json, "pagesChanged": pagesChanged.json,
      "pagesRewritten": (pagesRewritten ?? 0).json,
      "damagedPages": damagedPages.json, "warnings": warnings.json, "configurationFiles": configurationFiles.json,
    ]
    if let dump {
      more["dump"] = .fields([
        "program": dump.program, "selection": dump.selection, "globals": dump.globals, "pieces": dump.pieces,
        "piecesNew": dump.piecesNew, "rewrittenBytes": dump.rewrittenBytes,
      ])
      more["contents"] = contents.json
    }
    return .object(backup.fields.merging(more, uniquingKeysWith: { $1 }))
  }
}

extension ManifestHeader.Tablespace: JSONConvertible {
  var json: JSONValue { .fields(["oid": oid, "location": location]) }
}

extension DamagedPage: JSONConvertible {
  var json: JSONValue { .fields(["path": path, "block": block]) }
}
