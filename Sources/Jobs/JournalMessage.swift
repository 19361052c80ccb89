public import Logging

/// Log entries that the journal's catalogue explains: `journalctl -x`. The file is `systemd/backupd.catalog`.
public enum JournalMessage: String, Sendable, CaseIterable {
  case ready = "b89ad5a6fe765e4ed00f304d12bc5259"
  case configurationRefused = "1737df017d53329d4d6d0b49879dc3a5"
  case runFailed = "77dcb12684f81e8c4b17050bc7d073e9"
  case runSkipped = "0c9f97673e1604228056917244e6a61d"
  case pruneFailed = "db3dc0009fb9af7cdf5c07d98934d905"
  case walMissing = "c36d0ce9303e002efb1a5b479c6d5eba"
  case walNotReceived = "e23f940f7a3dc7fb358fcc3176ee419f"
  case stalled = "f71118642a4ce466f8049e0750663eb1"

  /// What makes a log entry one of these.
  public static let key = "messageID"
  public var metadata: Logger.MetadataValue { "\(rawValue)" }
}
