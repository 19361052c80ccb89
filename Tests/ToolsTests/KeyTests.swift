import BackupModel
import DurableFiles
import Foundation
import Glibc
import TestSupport
import Testing

@testable import KeyManagement

@Suite("Keys") struct KeyTests {
  private let repository = RepositoryID.random()

  @Test("a key file is made with mode 0600, read again, and never overwritten")
  func keyFile() throws {
    try TemporaryDirectory.run { directory in
      let path = directory + "/keys/backupd.key"
      let made = try KeyFile.create(path)
      var status = stat()
      #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
      #expect(try KeyFile.read(path).id == made.id)
      #expect(throws: FileError.self) { try KeyFile.create(path) }
      #expect(try KeyFile.read(path).id == made.id)
    }
  }

  @Test("a key file that others may read, that is missing or is none is refused, each with its reason")
  func refusedKeyFiles() throws {
    try TemporaryDirectory.run { directory in
      let path = directory + "/backupd.key"
      #expect { try KeyFile.read(path) } throws: { if case KeyError.keyFileMissing = $0 { true } else { false } }
      _ = try KeyFile.create(path)
      for mode in [0o640, 0o604, 0o610] as [mode_t] {
        #expect(chmod(path, mode) == 0)
        #expect { try KeyFile.read(path) } throws: { if case KeyError.keyFileReadable = $0 { true } else { false } }
      }
      #expect(chmod(path, 0o400) == 0)
      _ = try KeyFile.read(path)
      let good = try DurableFile.read(path)
      for index in good.indices.dropLast() {
        var changed = good
        changed[index] ^= 1
        try DurableFile.replace(path, with: changed)
        #expect("byte \(index)") { try KeyFile.read(path) } throws: {
          if case KeyError.keyFileMalformed = $0 { true } else { false }
        }
      }
      for _ in 0..<300 {
        try Data((0..<Int.random(in: 0...120)).map { _ in UInt8.random(in: 0...255) }).write(
          to: URL(fileURLWithPath: path))
        #expect(throws: KeyError.self) { try KeyFile.read(path) }
      }
    }
  }

  @Test("an envelope gives its data key to the right key file only")
  func envelopes() throws {
    try TemporaryDirectory.run { directory in
      let right = try KeyFile.create(directory + "/right")
      let wrong = try KeyFile.create(directory + "/wrong")
      let dataKey = try DataKey.random()
      let envelope = try KeyEnvelope(dataKey, repository: repository, for: .keyFile(right))
      let opened = try envelope.unlock(with: .keyFile(right), name: "e")
      #expect(opened.id == dataKey.id && opened.key.reveal() == dataKey.key.reveal())
      #expect(opened.fingerprintSecret.reveal() == dataKey.fingerprintSecret.reveal())
      #expect { try envelope.unlock(with: .keyFile(wrong), name: "e") } throws: {
        if case KeyError.wrongKeyFile = $0 { true } else { false }
      }
      var moved = envelope
      moved.repository = .random()
      #expect(throws: KeyError.self) { try moved.unlock(with: .keyFile(right), name: "e") }
      let plain = try KeyEnvelope(dataKey, repository: repository, for: .unwrapped)
      #expect(try plain.unlock(with: .unwrapped, name: "e").key.reveal() == dataKey.key.reveal())
    }
  }

  @Test("an envelope with any text in its fields is refused and never traps")
  func hostileEnvelopes() throws {
    try TemporaryDirectory.run { directory in
      let file = try KeyFile.create(directory + "/key")
      let texts: [String?] = [nil, "", "0", "zz", "00", String(repeating: "00", count: 64), "é", "\u{0}"]
      for wrapped in texts {
        for salt in texts {
          var envelope = try KeyEnvelope(.random(), repository: repository, for: .keyFile(file))
          if let wrapped { envelope.wrapped = wrapped }
          envelope.salt = salt
          #expect(throws: KeyError.self) { try envelope.unlock(with: .keyFile(file), name: "e") }
        }
      }
      var plain = try KeyEnvelope(.random(), repository: repository, for: .unwrapped)
      for wrapped in ["", "00", "xyz"] {
        plain.wrapped = wrapped
        #expect(throws: KeyError.self) { try plain.unlock(with: .unwrapped, name: "e") }
      }
      plain.format = 2
      #expect { try plain.unlock(with: .unwrapped, name: "e") } throws: {
        if case KeyError.formatUnknown = $0 { true } else { false }
      }
    }
  }

  private struct Content: Codable, Equatable { var name: String, number: Int }

  @Test("a checked document is refused with any byte changed, cut or moved to another name")
  func checkedDocuments() throws {
    let keys = try DataKey.random()
    let content = Content(name: "a/b", number: 7)
    let plain = try CheckedDocument.encodePlain(content)
    let authentic = try CheckedDocument.encodeAuthentic(content, name: "gaps/1", keys: keys)
    #expect(try CheckedDocument.decodePlain(Content.self, plain) == content)
    #expect(try CheckedDocument.decodeAuthentic(Content.self, authentic, name: "gaps/1", keys: keys) == content)
    #expect(throws: CheckedDocument.Failure.changed) {
      try CheckedDocument.decodeAuthentic(Content.self, authentic, name: "gaps/2", keys: keys)
    }
    #expect(throws: CheckedDocument.Failure.changed) {
      try CheckedDocument.decodeAuthentic(Content.self, authentic, name: "gaps/1", keys: .random())
    }
    for index in plain.indices {
      for bit in [UInt8(1), 0x20, 0x80] {
        var changed = plain
        changed[index] ^= bit
        // Hexadecimal digits of either case say the same.
        if let same = try? CheckedDocument.decodePlain(Content.self, changed) {
          #expect(bit == 0x20 && same == content)
        }
        changed = authentic
        if index < changed.count { changed[index] ^= bit }
        if let same = try? CheckedDocument.decodeAuthentic(Content.self, changed, name: "gaps/1", keys: keys) {
          #expect((bit == 0x20 || index >= authentic.count) && same == content)
        }
      }
      #expect(throws: CheckedDocument.Failure.self) {
        try CheckedDocument.decodePlain(Content.self, Array(plain[..<index]))
      }
    }
    for _ in 0..<2000 {
      var noise = plain
      for _ in 0..<Int.random(in: 1...20) { noise[Int.random(in: noise.indices)] = .random(in: 0...255) }
      _ = try? CheckedDocument.decodePlain(Content.self, noise)
      _ = try? CheckedDocument.decodePlain(Content.self, (0..<200).map { _ in UInt8.random(in: 0...255) })
    }
  }
}
