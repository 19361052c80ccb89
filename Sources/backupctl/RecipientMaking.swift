import BackupModel
import DaemonConfiguration
import KeyManagement
import RepositoryAccess
import Systemd

/// The recipients that `repository create` wraps the data key for; key files that are missing are made.
struct RecipientMaking {
  struct MadeKey {
    var file: KeyFile
    var isNew: Bool
  }
  let unlocking: Unlocking
  /// In the order of the configuration.
  let keys: [MadeKey]
  private let settings: RepositorySettings.Encryption

  /// - Throws: `KeyError`; what `KeyFile.create` throws. All that is there is read before anything is made.
  init(_ settings: RepositorySettings.Encryption, _ credentials: Credentials) throws {
    self.settings = settings
    var keys: [String: MadeKey] = [:]
    for path in settings.keyFiles {
      do {
        keys[path] = MadeKey(file: try KeyFile.read(path), isNew: false)
      } catch KeyError.keyFileMissing {
        continue
      }
    }
    let recipients = try settings.recipients.map { recipient -> KeyRecipient in
      guard case .keyFile(let path) = recipient else {
        return try ConfiguredRepository.recipient(recipient, credentials)
      }
      let key = try keys[path] ?? MadeKey(file: KeyFile.create(path), isNew: true)
      keys[path] = key
      return .keyFile(key.file)
    }
    self.keys = settings.keyFiles.compactMap { keys[$0] }
    unlocking = recipients.isEmpty ? .unwrapped : Unlocking(recipients)
  }

  /// What an operator has to know about each of them.
  var advice: [String] {
    if settings == .none {
      return [
        "encryption is \"none\": whoever can read a store can read every backup in it.",
        "Damage is still found, and what was forged without access to the stores refused.",
      ]
    }
    var lines = unlocking.recipients.compactMap { recipient -> String? in
      if case .awsKMS(let key) = recipient { "wrapped for \(key.name)" } else { nil }
    }
    lines += keys.map { "\($0.isNew ? "made" : "used") key file \"\($0.file.path)\", id \($0.file.id)" }
    if !keys.isEmpty {
      lines.append(
        "Copy it now to a place that does not burn with this host: a password manager, a safe, another site.")
    }
    let isAlone = unlocking.recipients.count == 1
    switch (isAlone, keys.isEmpty) {
    case (true, false):
      lines.append(
        "Without it no backup in this repository can be opened, by anybody, ever. It is not in the repository.")
    case (true, true):
      lines.append("Without this key no backup in this repository can be opened, by anybody, ever. Never delete it.")
    case (false, _):
      lines.append("Any one of these opens every backup; without all of them none can be opened, by anybody, ever.")
    }
    return lines
  }
}
