import FoundationEssentials
import Recovery
import TestSupport
import Testing

@Suite("What drills left behind") struct ScratchDirectoryTests {
  @Test("is removed where a drill made it, and nothing else is") func sweep() throws {
    try TemporaryDirectory.run { directory in
      let (registry, elsewhere) = (directory + "/drills", directory + "/elsewhere")
      try make(registry + "/died-early", [:])
      try make(registry + "/died-late", ["backupd-drill.json": Self.marker, "data/PG_VERSION": "15\n"])
      try make(registry + "/foreign", ["important": "x"])
      try make(registry + "/unmarked", ["backupd-drill.json": "", "important": "x"])
      try make(elsewhere, ["backupd-drill.json": Self.marker, "data/base/1": "x"])
      try FileManager.default.createSymbolicLink(
        atPath: registry + "/moved", withDestinationPath: elsewhere)
      // What a link inside leads to is not the drill's.
      try FileManager.default.createSymbolicLink(
        atPath: registry + "/died-late/data/link", withDestinationPath: registry + "/foreign")
      let error = #expect(throws: DrillError.self) { try ScratchDirectory.sweep(registry: registry) }
      #expect(error?.detail?.contains("important") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: registry).sorted() == ["foreign", "unmarked"])
      for kept in ["foreign", "unmarked"] {
        #expect(FileManager.default.fileExists(atPath: "\(registry)/\(kept)/important"))
      }
      #expect(!FileManager.default.fileExists(atPath: elsewhere))
    }
  }

  private static let marker =
    #"{"format": 1, "job": "j", "cluster": "c", "pid": 1, "started": "2026-01-01T00:00:00Z"}"#

  private func make(_ directory: String, _ files: [String: String]) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    for (name, text) in files {
      let path = directory + "/" + name
      let parent = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
  }
}
