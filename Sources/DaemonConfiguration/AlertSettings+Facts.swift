import BackupModel

// What `reload` compares and says, and which secrets `config check` looks for.

extension AlertChannelSettings {
  var facts: [(key: String, value: String?)] {
    [
      ("severity", severity.rawValue), ("clusters", clusters.map { $0.map(\.rawValue).joined(separator: ", ") }),
      ("tiers", tiers.map { $0.map(\.rawValue).joined(separator: ", ") }), ("quiet-hours", quietHours?.text),
      ("remind", DurationText.format(remind)), ("gather", DurationText.format(gather)),
    ] + kind.facts
  }

  var secrets: [(key: String, source: SecretSource, advice: String)] {
    let path = "alerts.\(id)"
    switch kind {
    case .smtp(let mail, _):
      return mail.password.map { [(path + ".password", $0, "write the password into it, with mode 0640")] } ?? []
    case .slack(let address, _): return address.secrets(path + ".webhook")
    case .url(let address, let secret, _):
      return address.secrets(path + ".url")
        + (secret.map { [(path + ".secret", $0, "write the key into it, with mode 0640")] } ?? [])
    case .sendmail, .command: return []
    }
  }
}

extension AddressSource {
  func secrets(_ key: String) -> [(key: String, source: SecretSource, advice: String)] {
    if case .secret(let source) = self { [(key, source, "write the address into it, with mode 0640")] } else { [] }
  }
}

extension AlertChannelSettings.Kind {
  fileprivate var facts: [(key: String, value: String?)] {
    switch self {
    case .smtp(let mail, let addresses):
      [
        ("smtp", mail.server.description), ("tls", mail.encryption.rawValue), ("user", mail.user),
        ("password", mail.password?.description), ("ca-file", mail.certificateFile),
      ] + addresses.facts
    case .sendmail(let path, let addresses): [("sendmail", path)] + addresses.facts
    case .slack(let address, let file): [("webhook", address.description), ("ca-file", file)]
    case .url(let address, let secret, let file):
      [("url", address.description), ("secret", secret?.description), ("ca-file", file)]
    case .command(let words): [("command", words.joined(separator: " "))]
    }
  }
}

extension MailAddresses {
  fileprivate var facts: [(key: String, value: String?)] {
    [("from", from), ("to", to.joined(separator: ", "))]
  }
}

extension QuietHoursSettings {
  fileprivate var text: String {
    func time(_ minutes: Int) -> String {
      let (hour, minute) = (minutes / 60, minutes % 60)
      return (hour < 10 ? "0" : "") + "\(hour):" + (minute < 10 ? "0" : "") + "\(minute)"
    }
    return "\(time(begin)) to \(time(end)) \(timeZone.name), critical: \(critical.rawValue)"
  }
}

extension HeartbeatSettings {
  var facts: [(key: String, value: String?)] {
    [("url", address.description), ("every", DurationText.format(interval)), ("ca-file", certificateFile)]
  }
}
