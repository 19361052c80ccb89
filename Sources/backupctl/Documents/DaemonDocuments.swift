import BackupModel
import ControlProtocol

// What the daemon answers, as `status`, `jobs`, `runs` and `wal status` print it; described in docs/reference/json.md.

extension ErrorReport: JSONConvertible {
  var json: JSONValue { .fields(["summary": summary, "detail": detail, "hint": hint]) }
}

extension JobSummary: JSONConvertible {
  var json: JSONValue {
    .fields([
      "name": name, "kind": kind, "cluster": cluster, "schedule": schedule, "timezone": timezone, "nextRun": nextRun,
      "lastRun": lastRun, "lastOutcome": lastOutcome, "lastSuccess": lastSuccess,
      "consecutiveFailures": consecutiveFailures, "running": running,
    ])
  }
}

extension RunProgress: JSONConvertible {
  var json: JSONValue { .fields(["phase": phase, "doneBytes": doneBytes, "totalBytes": totalBytes]) }
}

extension RunPhase: JSONConvertible {
  var json: JSONValue { .fields(["name": name, "durationSeconds": durationSeconds]) }
}

extension RunRecord: JSONConvertible {
  var json: JSONValue {
    .fields([
      "run": run, "job": job, "kind": kind, "cluster": cluster, "trigger": trigger, "due": due, "started": started,
      "finished": finished, "outcome": outcome, "progress": progress, "phases": phases, "backup": backup,
      "totalBytes": totalBytes, "newBytes": newBytes, "storedBytes": storedBytes, "warnings": warnings, "error": error,
      "times": times ?? 1, "attempts": attempts ?? 1, "requests": requests, "checks": checks, "drill": drill,
    ])
  }
}

extension CheckResult: JSONConvertible {
  var json: JSONValue {
    .fields([
      "name": name, "value": value, "verdict": verdict, "message": message, "notices": notices, "mayFall": mayFall,
    ])
  }
}

extension DrillRecord: JSONConvertible {
  var json: JSONValue {
    .fields([
      "store": store, "target": target, "targetLSN": targetLSN, "replayedLSN": replayedLSN,
      "measuredRTOSeconds": measuredRTOSeconds, "walBytes": walBytes, "heartbeat": heartbeat,
    ])
  }
}

extension StoreRequests: JSONConvertible {
  var json: JSONValue {
    .fields([
      "store": store, "requests": requests, "retries": retries, "sentBytes": sentBytes, "receivedBytes": receivedBytes,
    ])
  }
}

extension WALStatus.Store: JSONConvertible {
  var json: JSONValue { .fields(["name": name, "durableLSN": durableLSN, "lagSeconds": lagSeconds]) }
}

extension WALStatus: JSONConvertible {
  var json: JSONValue {
    .fields([
      "cluster": cluster, "systemIdentifier": systemIdentifier, "timeline": timeline, "slot": slot, "state": state,
      "receivedLSN": receivedLSN, "flushedLSN": flushedLSN, "serverLSN": serverLSN, "lastMessage": lastMessage,
      "stores": stores, "queuedSegments": queuedSegments, "bytesPerSecond": bytesPerSecond, "commitsWait": commitsWait,
      "losesNothing": losesNothing, "error": error,
    ])
  }
}

extension Condition: JSONConvertible {
  var json: JSONValue {
    .fields([
      "id": id, "severity": severity, "since": since, "summary": report.summary, "detail": report.detail,
      "hint": report.hint, "cluster": cluster, "tier": tier, "job": job, "store": store,
    ])
  }
}

extension AlertTestResult: JSONConvertible {
  var json: JSONValue {
    .fields([
      "channel": channel, "kind": kind, "delivered": isDelivered, "answer": answer, "error": error,
      "durationSeconds": durationSeconds,
    ])
  }
}

extension RecoveryWindow: JSONConvertible {
  var json: JSONValue {
    .fields(["from": from, "to": to, "fromLSN": fromLSN, "toLSN": toLSN, "timeline": timeline])
  }
}

extension StoreWindows: JSONConvertible {
  var json: JSONValue { .fields(["store": store, "windows": windows]) }
}

extension RecoveryRoad: JSONConvertible {
  var json: JSONValue {
    .fields(["store": store, "means": means, "backup": backup, "to": to, "lossSeconds": lossSeconds])
  }
}

extension TierStatus: JSONConvertible {
  var json: JSONValue {
    .fields([
      "name": name, "cluster": cluster, "tables": tables, "rpoSeconds": rpoSeconds, "lossSeconds": lossSeconds,
      "rpoState": rpoState, "breachSeconds": breachSeconds, "worstLossSeconds": worstLossSeconds, "roads": roads,
      "rtoSeconds": rtoSeconds, "recoverySeconds": recoverySeconds, "recoveryBasis": recoveryBasis,
      "rtoState": rtoState,
    ])
  }
}

extension ClusterStatus: JSONConvertible {
  var json: JSONValue {
    .fields([
      "name": name, "systemIdentifier": systemIdentifier, "windows": windows, "stores": stores,
      "roads": roads, "lastBackup": lastBackup, "wal": wal,
    ])
  }
}

extension StoreSummary: JSONConvertible {
  var json: JSONValue {
    .fields([
      "name": name, "durability": durability, "location": location, "missingObjects": missingObjects,
      "missingBytes": missingBytes, "lagSeconds": lagSeconds, "error": error,
    ])
  }
}

extension CopySummary: JSONConvertible {
  var json: JSONValue {
    .fields(["store": store, "cluster": cluster, "job": job, "backup": backup, "copied": copied])
  }
}

extension DaemonStatus: JSONConvertible {
  var json: JSONValue {
    .fields([
      "version": version, "pid": pid, "startedAt": startedAt, "configurationPath": configurationPath,
      "configurationLoadedAt": configurationLoadedAt, "clusters": clusters, "tiers": tiers, "stores": stores,
      "copies": copies, "jobs": jobs, "running": running, "conditions": conditions,
    ])
  }
}
