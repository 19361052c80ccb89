import BackupModel

extension ConfigurationReader {
  func readAlerts(
    _ place: Place, clusters: [Placed<ClusterSettings>]?, tiers: [TierSettings]
  ) -> [AlertChannelSettings] {
    MappingReader.entries(place, as: AlertChannelID.self).compactMap {
      readChannel($0.id, $0.place, clusters, tiers.map(\.id.rawValue))
    }
  }

  private func readChannel(
    _ id: AlertChannelID, _ place: Place, _ clusters: [Placed<ClusterSettings>]?, _ knownTiers: [String]
  ) -> AlertChannelSettings? {
    guard let reader = MappingReader(place, keys: AlertKeys.section.keys) else { return nil }
    let severity = reader.value(AlertKeys.severity)
    let named = reader.value(AlertKeys.clusters)
    for cluster in named ?? [] {
      guard let clusters, !clusters.contains(where: { $0.value.id == cluster }) else { continue }
      let names = clusters.map(\.value.id.rawValue)
      reader.place(of: AlertKeys.clusters).report(
        "there is no cluster \"\(cluster)\"",
        advice: Suggestion.text(for: cluster.rawValue, in: names) ?? "known are " + names.joined(separator: ", "))
    }
    let tiers = reader.value(AlertKeys.tiers)
    for tier in tiers ?? [] where !knownTiers.contains(tier.rawValue) {
      reader.place(of: AlertKeys.tiers).report(
        "there is no tier \"\(tier)\"",
        advice: Suggestion.text(for: tier.rawValue, in: knownTiers)
          ?? (knownTiers.isEmpty ? nil : "known are " + knownTiers.joined(separator: ", ")))
    }
    let quietHours = reader.value(AlertKeys.quietHours)
    let remind = reader.value(AlertKeys.remind)
    let gather = reader.value(AlertKeys.gather)
    guard let kind = readKind(reader), let severity, let remind, let gather else { return nil }
    return AlertChannelSettings(
      id: id, kind: kind, severity: severity, clusters: named, tiers: tiers, quietHours: quietHours, remind: remind,
      gather: gather)
  }

  /// Exactly one, and no key of another.
  private func readKind(_ reader: MappingReader) -> AlertChannelSettings.Kind? {
    let kinds = [
      (AlertKeys.smtp.name, reader.has(AlertKeys.smtp)), (AlertKeys.sendmail.name, reader.has(AlertKeys.sendmail)),
      (AlertKeys.webhook.name, reader.has(AlertKeys.webhook)), (AlertKeys.url.name, reader.has(AlertKeys.url)),
      (AlertKeys.command.name, reader.has(AlertKeys.command)),
    ]
    let given = kinds.filter(\.1).map(\.0)
    guard given.count == 1, let kind = given.first else {
      if reader.place.isFine || !given.isEmpty {
        reader.place.report("must name exactly one of smtp, sendmail, webhook, url and command")
      }
      return nil
    }
    checkKeys(reader, of: kind)
    switch kind {
    case AlertKeys.smtp.name: return readMail(reader)
    case AlertKeys.sendmail.name:
      let addresses = readAddresses(reader)
      guard let path = reader.value(AlertKeys.sendmail), let addresses else { return nil }
      return .sendmail(path, addresses)
    case AlertKeys.webhook.name:
      let file = reader.value(AlertKeys.certificateFile)
      return reader.value(AlertKeys.webhook).map { .slack(.secret($0), certificateFile: file) }
    case AlertKeys.url.name:
      let (secret, file) = (reader.value(AlertKeys.secret), reader.value(AlertKeys.certificateFile))
      return reader.value(AlertKeys.url).map { .url($0, secret: secret, certificateFile: file) }
    default: return reader.value(AlertKeys.command).map { .command($0) }
    }
  }

  private func checkKeys(_ reader: MappingReader, of kind: String) {
    let owners: [(key: String, isThere: Bool, kinds: [String])] = [
      ("tls", reader.has(AlertKeys.tls), ["smtp"]), ("user", reader.has(AlertKeys.user), ["smtp"]),
      ("password", reader.has(AlertKeys.password), ["smtp"]), ("secret", reader.has(AlertKeys.secret), ["url"]),
      ("from", reader.has(AlertKeys.from), ["smtp", "sendmail"]),
      ("to", reader.has(AlertKeys.to), ["smtp", "sendmail"]),
      ("ca-file", reader.has(AlertKeys.certificateFile), ["smtp", "webhook", "url"]),
    ]
    for (key, isThere, kinds) in owners where isThere && !kinds.contains(kind) {
      reader.place.report("\"\(key)\" goes with \(kinds.joined(separator: " or ")), not with \(kind)")
    }
  }

  private func readAddresses(_ reader: MappingReader) -> MailAddresses? {
    let from = reader.value(AlertKeys.from)
    let to = reader.value(AlertKeys.to)
    for (key, isThere) in [("from", reader.has(AlertKeys.from)), ("to", reader.has(AlertKeys.to))] where !isThere {
      reader.place.report("the key \"\(key)\" is missing")
    }
    guard let from, let to else { return nil }
    return MailAddresses(from: from, to: to)
  }

  private func readMail(_ reader: MappingReader) -> AlertChannelSettings.Kind? {
    let addresses = readAddresses(reader)
    let tls = reader.value(AlertKeys.tls)
    let user = reader.value(AlertKeys.user)
    let password = reader.value(AlertKeys.password)
    let file = reader.value(AlertKeys.certificateFile)
    guard let server = reader.value(AlertKeys.smtp), let addresses else { return nil }
    if reader.has(AlertKeys.user) != reader.has(AlertKeys.password) {
      reader.place.report("\"user\" and \"password\" go together")
    }
    let encryption = tls ?? (server.isLocal ? MailEncryption.none : .required)
    if reader.has(AlertKeys.password), !server.isImplicitTLS, !server.isLocal, encryption != .required {
      reader.place(of: AlertKeys.tls).report(
        "would send the password to \(server.host) where anybody can read it", advice: "write tls: required")
    }
    return .smtp(
      MailServerSettings(
        server: server, encryption: encryption, user: user, password: password, certificateFile: file), addresses)
  }

  func readHeartbeat(_ place: Place) -> HeartbeatSettings? {
    guard let reader = MappingReader(place, keys: HeartbeatKeys.section.keys) else { return nil }
    let interval = reader.value(HeartbeatKeys.every)
    let file = reader.value(HeartbeatKeys.certificateFile)
    guard let address = reader.value(HeartbeatKeys.url), let interval else { return nil }
    return HeartbeatSettings(address: address, interval: interval, certificateFile: file)
  }
}
