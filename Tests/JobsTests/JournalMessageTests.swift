import Foundation
import Testing

@testable import Jobs

@Suite("The journal's catalogue") struct JournalMessageTests {
  @Test("explains every log entry that has an id, and no other")
  func complete() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../systemd/backupd.catalog"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let entries = text.components(separatedBy: "\n-- ").dropFirst()
    #expect(Set(entries.map { String($0.prefix(32)) }) == Set(JournalMessage.allCases.map(\.rawValue)))
    #expect(entries.count == JournalMessage.allCases.count)
    for entry in entries {
      let parts = entry.split(separator: "\n\n", maxSplits: 1)
      #expect(parts.count == 2 && parts[0].contains("\nSubject: ") && parts[0].contains("\nDefined-By: backupd"))
      #expect(parts.last.map { $0.contains("\"") || $0.contains("backupctl") } == true)
    }
  }
}
