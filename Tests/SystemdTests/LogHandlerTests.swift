import Logging
import Synchronization
import TestSupport
import Testing

@testable import Systemd

#if canImport(Glibc)
  import Glibc
#endif

/// Collects what a handler gives away.
final class Collected<Item: Sendable>: Sendable {
  private let items = Mutex<[Item]>([])
  func add(_ item: Item) { items.withLock { $0.append(item) } }
  var all: [Item] { items.withLock { $0 } }
}

@Suite("The journal") struct JournalLogHandlerTests {
  @Test("gets a field for each fact")
  func fields() throws {
    let entries = Collected<[JournalLogHandler.Field]>()
    var logger = Logger(label: "test") { _ in JournalLogHandler(identifier: "backupd") { entries.add($0) } }
    logger[metadataKey: "cluster"] = "oauth"
    logger.warning(
      "WAL segment not stored, retrying",
      metadata: ["job": "wal", "durationSeconds": "1.5", "error": "two\nlines", "messageID": "0123"])
    let fields = Dictionary(uniqueKeysWithValues: try #require(entries.all.first).map { ($0.name, $0.value) })
    #expect(fields["PRIORITY"] == "4")
    #expect(fields["SYSLOG_IDENTIFIER"] == "backupd")
    #expect(
      fields["MESSAGE"]?.hasPrefix("WAL segment not stored, retrying cluster=oauth durationSeconds=1.5 job=wal") == true
    )
    #expect(fields["BACKUPD_CLUSTER"] == "oauth" && fields["BACKUPD_JOB"] == "wal")
    #expect(fields["BACKUPD_DURATION_SECONDS"] == "1.5" && fields["BACKUPD_ERROR"] == "two\nlines")
    #expect(fields["MESSAGE_ID"] == "0123")
    #expect(fields.count == 8)
  }

  @Test(
    "has field names in its own spelling",
    arguments: [
      ("run", "BACKUPD_RUN"), ("durationSeconds", "BACKUPD_DURATION_SECONDS"), ("startLSN", "BACKUPD_START_LSN"),
      ("LSNNow", "BACKUPD_LSN_NOW"), ("a-b", "BACKUPD_A_B"), ("é", "BACKUPD___"), ("messageID", "MESSAGE_ID"),
    ])
  func names(key: String, name: String) { #expect(JournalLogHandler.fieldName(key) == name) }

  @Test("is used where standard error leads to it, and only there")
  func detection() throws {
    try TemporaryDirectory.run { directory in
      let descriptor = open(directory + "/stream", O_CREAT | O_RDWR, 0o600)
      defer { close(descriptor) }
      var status = stat()
      fstat(descriptor, &status)
      let stream = "\(status.st_dev):\(status.st_ino)"
      #expect(JournalSocket.isStandardError(stream, descriptor: descriptor))
      for other in [nil, "", "1:2", "\(status.st_dev)", "\(status.st_dev):x", stream + ":1"] as [String?] {
        #expect(!JournalSocket.isStandardError(other, descriptor: descriptor))
      }
      #expect(LogDestination.detect(environment: [:]) == .standardError)
    }
  }

  @Test("may be missing: then nothing happens")
  func missing() { JournalSocket.send([.init("MESSAGE", "a test\nof two lines"), .init("PRIORITY", "7")]) }
}

@Suite("Log lines for people") struct ReadableLogHandlerTests {
  static func lines(_ colours: ReadableLogHandler.Colours = .never, _ log: (Logger) -> Void) -> [String] {
    let lines = Collected<String>()
    log(Logger(label: "test") { _ in ReadableLogHandler(colours: colours) { lines.add($0) } })
    return lines.all
  }

  @Test("show time, level, message and facts")
  func line() throws {
    let lines = Self.lines {
      $0.info("backup began", metadata: ["job": "nightly", "store": "two words", "empty": "", "messageID": "0123"])
      $0.debug("not shown")
    }
    #expect(lines.count == 1)
    let words = lines[0].split(separator: " ", maxSplits: 1)
    #expect(words[0].hasSuffix("Z") && words[0].contains("T"))
    #expect(words[1] == "info backup began empty=\"\" job=nightly store=\"two words\"\n")
  }

  @Test("put values of several lines below, indented")
  func severalLines() {
    let line = Self.lines { $0.error("job failed", metadata: ["error": "first\nsecond", "job": "a"]) }[0]
    #expect(line.hasSuffix("error job failed job=a\n  error:\n    first\n    second\n"))
  }

  @Test("have colours only where asked for")
  func colours() {
    #expect(Self.lines(.always) { $0.error("x") }[0].contains("\u{1B}[31merror\u{1B}[0m"))
    #expect(!Self.lines(.never) { $0.error("x") }[0].contains("\u{1B}"))
  }
}
