import BackupModel
import Scheduling

extension Configuration {
  /// What changed from an earlier configuration, a readable line each; empty where nothing did.
  public func difference(from earlier: Configuration) -> [String] {
    Self.changes("daemon", from: earlier.daemon.facts, to: daemon.facts)
      + Self.changes(
        "cluster", from: earlier.clusters.map { ($0.id.rawValue, $0.facts) },
        to: clusters.map { ($0.id.rawValue, $0.facts) })
      + Self.changes(
        "repository", from: [("encryption", earlier.repository.encryptionText)],
        to: [("encryption", repository.encryptionText)])
      + Self.changes(
        "store", from: earlier.repository.stores.map { ($0.id.rawValue, $0.facts) },
        to: repository.stores.map { ($0.id.rawValue, $0.facts) })
      + Self.changes(
        "job", from: earlier.jobs.map { ($0.id.rawValue, $0.facts) }, to: jobs.map { ($0.id.rawValue, $0.facts) })
      + Self.changes(
        "alert channel", from: earlier.alerts.map { ($0.id.rawValue, $0.facts) },
        to: alerts.map { ($0.id.rawValue, $0.facts) })
      + Self.changes("heartbeat", from: earlier.heartbeat?.facts ?? [], to: heartbeat?.facts ?? [])
      + Self.changes("monitoring", from: earlier.monitoring.facts, to: monitoring.facts)
      + Self.changes("metrics", from: earlier.metrics.facts, to: metrics.facts)
      + Self.changes(
        "tier", from: earlier.tiers.map { ($0.id.rawValue, $0.facts) }, to: tiers.map { ($0.id.rawValue, $0.facts) })
  }

  /// Keys and values as the file writes them; nil where the key is not set.
  fileprivate typealias Facts = [(key: String, value: String?)]

  private static func changes(_ what: String, from old: [(String, Facts)], to new: [(String, Facts)]) -> [String] {
    var lines: [String] = []
    for (name, _) in old where !new.contains(where: { $0.0 == name }) { lines.append("\(what) \"\(name)\" removed") }
    for (name, facts) in new {
      if let before = old.first(where: { $0.0 == name }) {
        lines += changes("\(what) \"\(name)\"", from: before.1, to: facts)
      } else {
        lines.append("\(what) \"\(name)\" added")
      }
    }
    return lines
  }

  private static func changes(_ what: String, from old: Facts, to new: Facts) -> [String] {
    let keys = new.map(\.key) + old.map(\.key).filter { key in !new.contains { $0.key == key } }
    return keys.compactMap { key in
      let before = old.first { $0.key == key }?.value
      let after = new.first { $0.key == key }?.value
      return switch (before, after) {
      case (let before?, let after?) where before != after: "\(what): \(key) changed from \"\(before)\" to \"\(after)\""
      case (nil, let after?): "\(what): \(key) set to \"\(after)\""
      case (let before?, nil): "\(what): \(key) no longer set, was \"\(before)\""
      default: nil
      }
    }
  }
}

extension DaemonSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("state-directory", stateDirectory), ("socket", socket), ("admin-group", adminGroup), ("workers", "\(workers)"),
      ("history", DurationText.format(history)),
      ("groups.backup", "\(widths.backup)"), ("groups.validation", "\(widths.validation)"),
      ("groups.monitoring", "\(widths.monitoring)"),
    ]
  }
}

extension MonitoringSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("interval", DurationText.format(interval)), ("grace", DurationText.format(grace)),
      ("physical-age", physicalAge.map(DurationText.format)), ("logical-age", logicalAge.map(DurationText.format)),
      ("tables-age", tablesAge.map(DurationText.format)), ("size-drop", "\(sizeDropPercent)"),
      ("lag-limit", DurationText.format(lagLimit)), ("clock-skew", DurationText.format(clockSkew)),
      ("disk-forecast", DurationText.format(diskForecast)),
    ]
  }
}

extension ClusterSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("connection", connection), ("standby", standby), ("data-directory", dataDirectory),
      ("password", password?.description), ("programs", programs),
    ]
  }
}

extension RepositorySettings {
  fileprivate var encryptionText: String? {
    if encryption == .none { return "none" }
    return encryption.recipients.map(\.text).joined(separator: ", ")
  }
}

extension RepositorySettings.KeyRecipient {
  fileprivate var text: String {
    switch self {
    case .keyFile(let path): return "key-file \(path)"
    case .awsKMS(let kms):
      var text = "aws-kms \(kms.key) in \(kms.region)"
      if let endpoint = kms.endpoint { text += " at \(endpoint)" }
      if let keys = kms.credentials { text += " with \(keys.accessKey) and \(keys.secretKey)" }
      return text
    }
  }
}

extension StoreSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("durability", durability.rawValue), ("keep", keep?.text), ("bandwidth", bandwidth?.description),
      ("timeout", path == nil ? DurationText.format(timeout) : nil), ("lock", lock?.text),
    ] + place.facts
  }
}

extension StorePlace {
  fileprivate var facts: Configuration.Facts {
    switch self {
    case .directory(let path): [("path", path)]
    case .sftp(let place):
      [
        ("sftp", place.description), ("known-hosts", place.knownHostsFile), ("key-file", place.keyFile),
        ("passphrase", place.passphrase?.description),
      ]
    case .gcs(let place):
      [
        ("gcs", place.description), ("endpoint", place.endpoint), ("packs", place.storageClass.packs),
        ("other", place.storageClass.other), ("credentials", place.credentialsText), ("ca-file", place.certificateFile),
      ]
    case .s3(let place):
      [
        ("s3", place.description), ("region", place.region), ("endpoint", place.endpoint),
        ("path-style", place.isPathStyle.map { "\($0)" }), ("packs", place.storageClass.packs),
        ("other", place.storageClass.other), ("access-key", place.credentials?.accessKey.description),
        ("secret-key", place.credentials?.secretKey.description),
        ("session-token", place.credentials?.sessionToken?.description),
        ("prune-access-key", place.pruneCredentials?.accessKey.description),
        ("prune-secret-key", place.pruneCredentials?.secretKey.description),
        ("prune-session-token", place.pruneCredentials?.sessionToken?.description), ("ca-file", place.certificateFile),
      ]
    }
  }
}

extension GCSPlace {
  fileprivate var credentialsText: String? {
    switch credentials {
    case .automatic: nil
    case .none: "none"
    case .serviceAccount(let source): source.description
    }
  }
}

extension MetricsSettings {
  fileprivate var facts: Configuration.Facts {
    [("textfile", textFile), ("every", DurationText.format(interval)), ("listen", listen?.description)]
  }
}

extension TierSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("cluster", cluster.rawValue), ("tables", tables.isEmpty ? nil : tables.joined(separator: ", ")),
      ("rpo", DurationText.format(rpo)), ("rto", DurationText.format(rto)),
    ]
  }
}

extension RunSettings {
  fileprivate var facts: Configuration.Facts {
    [
      ("schedule", schedule?.text), ("timezone", timeZone.name), ("jitter", DurationText.format(jitter)),
      ("missed", missed.rawValue), ("overlap", overlap.rawValue), ("deadline", DurationText.format(deadline)),
      ("retries", "\(retries)"), ("rank", "\(rank)"),
    ]
  }
}

extension LogicalSettings {
  fileprivate var facts: Configuration.Facts {
    func list(_ texts: [String]) -> String? { texts.isEmpty ? nil : texts.joined(separator: ", ") }
    return [
      ("keep", keep?.text), ("database", database), ("tables", list(tables)), ("exclude-tables", list(excludedTables)),
      ("schemas", list(schemas)), ("data-only", "\(content == .data)"), ("schema-only", "\(content == .schema)"),
      ("inserts", "\(inserts)"), ("serializable-deferrable", "\(serializableDeferrable)"),
      ("lock-timeout", lockTimeout.map(DurationText.format)), ("parallel", "\(parallel)"), ("full", "\(full)"),
      ("compression", "\(compression)"),
    ]
  }
}

extension JobSettings {
  fileprivate var facts: Configuration.Facts {
    let common: Configuration.Facts = [("kind", kind.name), ("cluster", cluster.rawValue)]
    switch kind {
    case .physical(let settings):
      return common + settings.runs.facts + [
        ("keep", settings.keep?.text),
        ("checkpoint", settings.checkpoint.rawValue), ("source", settings.source.rawValue),
        ("rate", settings.rate?.description), ("full", "\(settings.full)"),
        ("compression", "\(settings.compression)"), ("priority", settings.priority.rawValue),
      ]
    case .copy(let settings):
      return common + settings.runs.facts + [("to", settings.store.rawValue), ("keep", settings.keep?.text)]
    case .logical(let settings): return common + settings.runs.facts + settings.facts
    case .wal(let settings):
      return common + [
        ("slot", settings.slot), ("recovery-window", settings.recoveryWindow.map(DurationText.format)),
        ("partial-interval", DurationText.format(settings.partialInterval)),
        ("streaming", "\(settings.streaming)"), ("acknowledge", settings.acknowledge.rawValue),
        ("on-full", settings.onFull.rawValue), ("synchronous", "\(settings.synchronous)"),
        ("heartbeat", "\(settings.heartbeat)"),
      ]
    case .drill(let settings):
      return common + settings.runs.facts + [
        ("checks", settings.checks), ("check-timeout", DurationText.format(settings.checkTimeout)),
        ("amcheck", "\(settings.amcheck)"), ("pick", settings.pick.rawValue), ("target", settings.target.rawValue),
        ("store", settings.store?.rawValue), ("scratch", settings.scratch), ("programs", settings.programs),
        ("preload", settings.preload),
      ]
    case .check(let settings):
      return common + settings.runs.facts + [
        ("restore", "\(settings.restores)"), ("dumps", settings.dumps?.rawValue), ("checks", settings.checks),
        ("check-timeout", DurationText.format(settings.checkTimeout)), ("server", settings.server),
        ("server-password", settings.serverPassword?.description), ("size-limit", settings.sizeLimit?.description),
      ]
    }
  }
}
