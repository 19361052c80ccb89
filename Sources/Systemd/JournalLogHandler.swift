public import Logging

/// Writes log messages to the system's journal with one field per fact, for `journalctl BACKUPD_JOB=nightly`.
///
/// Metadata `job` becomes `BACKUPD_JOB`, `durationSeconds` becomes `BACKUPD_DURATION_SECONDS`; `messageID` becomes the
/// journal's own `MESSAGE_ID`.
/// - SeeAlso: `systemd.journal-fields(7)`; `sd_journal_sendv(3)`.
public struct JournalLogHandler: LogHandler {
  /// One field as the journal takes it: `NAME=value`, the value of any bytes.
  public struct Field: Sendable, Hashable {
    public var name: String
    public var value: String
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level = .info
  public var metadataProvider: Logger.MetadataProvider?
  private let identifier: String
  private let send: @Sendable ([Field]) -> Void

  /// - Parameters:
  ///   - identifier: `SYSLOG_IDENTIFIER`: the program's name.
  ///   - send: Takes the fields of one entry; the journal's own socket unless a test listens.
  public init(identifier: String, send: @escaping @Sendable ([Field]) -> Void = { JournalSocket.send($0) }) {
    self.identifier = identifier
    self.send = send
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let facts = MetadataText.merged(metadata, metadataProvider, event)
    // A person reads MESSAGE alone, so the facts are there too; programs read the fields.
    var fields = [
      Field("MESSAGE", MetadataText.line(message: "\(event.message)", facts: facts.filter { $0.key != "messageID" })),
      Field("PRIORITY", Self.priority(event.level)), Field("SYSLOG_IDENTIFIER", identifier),
    ]
    for (key, value) in facts { fields.append(Field(Self.fieldName(key), value)) }
    send(fields)
  }

  /// syslog's numbers: 3 error, 4 warning, 5 notice, 6 info, 7 debug.
  static func priority(_ level: Logger.Level) -> String {
    switch level {
    case .critical: "2"
    case .error: "3"
    case .warning: "4"
    case .notice: "5"
    case .info: "6"
    case .debug, .trace: "7"
    }
  }

  /// `durationSeconds` becomes `BACKUPD_DURATION_SECONDS`, `startLSN` becomes `BACKUPD_START_LSN`.
  static func fieldName(_ key: String) -> String {
    if key == "messageID" { return "MESSAGE_ID" }
    var name = "BACKUPD_"
    let bytes = Array(key.utf8)
    func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
    func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }
    for (index, byte) in bytes.enumerated() {
      let beginsWord =
        index > 0 && isUpper(byte)
        && (isLower(bytes[index - 1])
          || (isUpper(bytes[index - 1]) && index + 1 < bytes.count && isLower(bytes[index + 1])))
      if beginsWord { name += "_" }
      name += isLower(byte) || isUpper(byte) ? String(UnicodeScalar(byte)).uppercased() : "_"
    }
    // The journal drops an entry's fields with longer names.
    return String(name.prefix(64))
  }
}
