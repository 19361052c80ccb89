import BackupModel
import Compression
import Cryptography
import Foundation
import Storage
import TestSupport
import Testing

@testable import KeyManagement
@testable import Repository

/// Chapter 15 of `docs/architecture/repository-format.md`. The values are the page's own, made by other programs: what
/// is written to it must still be read.
@Suite("The test vectors of the format") struct FormatVectorTests {
  private static let repository = "00112233445566778899aabbccddeeff"
  private static let key = "ffeeddccbbaa99887766554433221100"
  private static let lineage = Lineage(
    cluster: ClusterID(unchecked: "main"), systemIdentifier: SystemIdentifier(7_711_138_276_018_585_222))
  private static let dataKey = DataKey(
    id: KeyID(high: 0xFFEE_DDCC_BBAA_9988, low: 0x7766_5544_3322_1100),
    key: SymmetricKey(.init(repeating: 0x11, count: 32)),
    fingerprintSecret: SymmetricKey(.init(repeating: 0x22, count: 32)))
  private static let keyFileLine =
    "backupd-key-1 d811b259 " + (0..<32).map { "0\(String($0, radix: 16))".suffix(2) }.joined()

  private static let wrapped = """
    df35ac4b99a0fbaf982a774428ac461c55375d346086535bf4a93a17b69039b4\
    64deb350f5d422bf3260b92b969d155aea79245a9146875e82b09a94f6616684\
    c41e0374281bf02aeb79936da3fedc1c
    """
  private static let clock = """
    {"content":{"clock":"2026-11-02T03:00:00.000001Z","end":"16/B374D848","format":1,"timeline":1},\
    "key":"ffeeddccbbaa99887766554433221100",\
    "hmac":"ba8520e0ad37dac821d92a5a1c4b334d38ad42bc2686f422e506a1f89992355f"}

    """
  private static let history = """
    4241434b555044000100070000000000ffeeddccbbaa99887766554433221100\
    3333333333333333333333333333333333333333333333333333333333333333\
    89ad7bb46929a36b50b0a285685eb48d107d8bb6dce269573a8a85862770f47cd608e71616dbe315acc2b82e45466805\
    1f6b65384860a9c525ef132c2140a33854d0d75d684bf6a397873d259220f30feb8a6dc9534538e6dc2822a0ecb8999b\
    4ca09e2ad98033d841a18efcd8840000000000000029000000100000000100000000000000424b50445441494c
    """
  private static let packList = """
    00000000000000000000000000000001 7260000000000000 00800000 0100 0000
    00000000000000000000000000000002 f401000000000000 bc020000 0200 0000
    """
  private static let pageMap = """
    01000000 01000000 01000000 00000000000000000000000000000001
    00000000 03000000 00100000 88130000 00400000
    00000000 02000000 00000000 00000000
    """
  private static let entry = """
    0b00 626173652f352f32363139 01 00 8001 b0fce76a00000000 0030000000000000 839206e3 0000
    40000000 00000000000000000000000000000002 00000000 1c000000
    """
  private static let index = """
    0100 0000 01000000 000000b316000000 000200b316000000 480100b316000000 480100b316000000 018c7457425f0600
    01000000 01000000
    00 c001 40 eaaa5b 80b0a4f7cad0af06
    a0818098eb02 68 82b0a4f7cad0af06 10 6265666f72655f6d6967726174696f6e
    """

  private static let second = Timestamp(seconds: 1_793_588_400)
  private static let pack = PackID(high: 0, low: 1)
  private static let metadataPack = PackID(high: 0, low: 2)

  private static func bytes(_ text: String) throws -> [UInt8] {
    try #require(BytesText.bytes(hexadecimal: text.filter { !$0.isWhitespace }))
  }

  @Test("stand on the page as they are tested here")
  func areThePages() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
    let page = try String(contentsOf: root.appending(path: "docs/architecture/repository-format.md"), encoding: .utf8)
    let chapter = try #require(page.components(separatedBy: "## 15. ").last).filter { !$0.isWhitespace }
    for value in [Self.wrapped, Self.clock, Self.history, Self.packList, Self.pageMap, Self.entry, Self.index] {
      #expect(chapter.contains(value.filter { !$0.isWhitespace }))
    }
  }

  @Test("derive keys and fingerprints")
  func derivations() throws {
    let keyFile = SymmetricKey(Array(0..<32))
    func hexadecimal(_ key: SymmetricKey) -> String { BytesText.hexadecimal(key.reveal()) }
    let salt = [UInt8](repeating: 0x55, count: 32)
    #expect(
      hexadecimal(try keyFile.derive(salt: salt, info: "backupd envelope \(Self.repository) \(Self.key) 1"))
        == "6c432e6fc9b1efa1a59bf65aec2c3549b51cd67743dfe277d76e15fbcebd1a71")
    let object = try SealedFormat.key(
      Self.dataKey, salt: .init(repeating: 0x33, count: 32), kind: .pack,
      repository: RepositoryID(Self.repository), name: Self.lineage.pack(Self.pack))
    #expect(hexadecimal(object) == "e8cd9aa6e19f82ce9fc2eecf302bce1706774639770ae9526e85589b1bd932da")
    let fingerprinter = try Self.dataKey.makeFingerprinter()
    var found = [Fingerprint(low: 0, high: 0)]
    try [UInt8](repeating: 0, count: 8192).withUnsafeBytes { page in
      try found.withUnsafeMutableBufferPointer { try fingerprinter.fingerprint(page, into: $0) }
    }
    let stored = found.withUnsafeBytes { BytesText.hexadecimal(Array($0)) }
    #expect(stored == "18d6bee1a42f7098106eed76e992840c")
    #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) } == 0xE306_9283)
  }

  @Test("check documents")
  func documents() throws {
    struct Content: Codable, Equatable { var a: Int }
    let plain = try CheckedDocument.encodePlain(Content(a: 1))
    let sum = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    #expect(String(decoding: plain, as: UTF8.self) == "{\"content\":{\"a\":1},\"sha256\":\"\(sum)\"}\n")
    let name = Self.lineage.gap(RandomID(high: 0, low: 1)).text
    let authentic = try CheckedDocument.encodeAuthentic(Content(a: 1), name: name, keys: Self.dataKey)
    let code = "f581ffc55588c1b8fe7d9f8432203b71e03b36b17a8aeed7892a1e2a32207222"
    #expect(
      String(decoding: authentic, as: UTF8.self)
        == "{\"content\":{\"a\":1},\"key\":\"\(Self.key)\",\"hmac\":\"\(code)\"}\n")
  }

  /// Puts the page's objects where they belong and opens them as any other repository.
  @Test("open as a repository, with the envelope of a killed creation beside the right one")
  func repository() throws {
    try TemporaryDirectory.run { directory in
      let lineage = Self.lineage
      let segment = WALSegment(timeline: TimelineID(1), number: 0x16B3)
      let read = WALClock(timeline: TimelineID(1), end: try LSN("16/B374D848"), clock: Self.second + .microseconds(1))
      let clockName = read.objectName(lineage, segment, size: .standard)
      #expect(clockName.text.hasSuffix("0000000100000016000000B3.partial/00000016B374D848-at-00065F4257748C01"))
      func put(_ name: String, _ bytes: [UInt8]) throws {
        let path = URL(fileURLWithPath: "\(directory)/store/\(name)")
        try FileManager.default.createDirectory(
          at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: path)
      }
      func putPlain(_ name: String, _ content: String) throws {
        let sum = BytesText.hexadecimal(SHA256Digest.hash(Array(content.utf8)))
        try put(name, Array("{\"content\":\(content),\"sha256\":\"\(sum)\"}\n".utf8))
      }
      func putEnvelope(repository: String, key: String) throws {
        let salt = String(repeating: "55", count: 32)
        try putPlain(
          "keys/\(key)/key-file-d811b259.json",
          """
          {"format":1,"key":"\(key)","keyFile":"d811b259","recipient":"key-file-d811b259","repository":"\(repository)",\
          "salt":"\(salt)","sequence":1,"wrapped":"\(Self.wrapped)"}
          """)
      }
      try putPlain(
        "repository.json",
        "{\"created\":\"2026-11-02T03:00:00Z\",\"format\":1,\"repository\":\"\(Self.repository)\"}")
      try putEnvelope(repository: Self.repository, key: Self.key)
      try putEnvelope(repository: Self.key, key: Self.repository)
      try put(clockName.text, Array(Self.clock.utf8))
      try put(lineage.history(TimelineID(2)).text, Self.bytes(Self.history))
      let keyPath = directory + "/key"
      try Data((Self.keyFileLine + "\n").utf8).write(to: URL(fileURLWithPath: keyPath))
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: keyPath)

      let stores = [
        RepositoryStore(
          id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
      ]
      let repository = try Repository.open(stores: stores, unlocking: .keyFile(.read(keyPath)))
      #expect(repository.id.description == Self.repository)
      #expect(repository.keys.current.id.description == Self.key)
      #expect(repository.keys.current.secretBytes() == Self.dataKey.secretBytes())
      #expect(try repository.readDocument(WALClock.self, clockName) == read)
      let stream = try repository.read(.timelineHistory, lineage.history(TimelineID(2))) { try $0.readStream() }
      #expect(String(decoding: stream, as: UTF8.self) == "1\t16/B374D848\tno recovery target specified\n")
    }
  }

  @Test("decode and encode binary structures")
  func structures() throws {
    let list: [ManifestHeader.LivePack] = [
      .init(pack: Self.pack, kind: .pack, size: 32768, liveBytes: 24690),
      .init(pack: Self.metadataPack, kind: .metadata, size: 700, liveBytes: 500),
    ]
    var map = PageMap()
    map.packs = [Self.pack]
    map.frames = [.init(pack: 0, location: .init(number: 3, offset: 4096, sealedLength: 5000, plainLength: 16384))]
    map.runs = [.init(firstPage: 0, count: 2, frame: 0, slot: 0)]
    let file = ManifestFile(
      path: "base/5/2619", kind: .file, mode: 0o600, modified: Self.second.seconds, size: 12288, checksum: 0xE306_9283,
      pageMap: .init(metadataPack: Self.metadataPack, frame: 0, offset: 28, length: 64))
    var writer = ByteWriter()
    for pack in list { pack.encode(into: &writer) }
    map.encode(into: &writer)
    file.encode(into: &writer)
    let all = try Self.bytes(Self.packList + Self.pageMap + Self.entry)
    #expect(writer.bytes == all)
    try all.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let packs = [
        try ManifestHeader.LivePack(decoding: &reader), try ManifestHeader.LivePack(decoding: &reader),
      ]
      #expect(packs == list)
      let readMap = try PageMap(decoding: &reader)
      #expect(readMap == map && readMap.covers(pages: file.pages))
      let readFile = try ManifestFile(decoding: &reader)
      #expect(readFile == file)
      #expect(reader.remaining == 0)
    }
  }

  @Test("decode and encode an index of WAL")
  func walIndex() throws {
    let start = LSN(0x16_B300_0000)
    var index = WALIndex(timeline: TimelineID(1), first: start, end: start + 0x200)
    index.completeEnd = start + 0x148
    index.openRecord = start + 0x148
    index.serverClock = Self.second + .microseconds(1)
    index.entries = [
      .init(outcome: .commit, xid: 748_213, time: Self.second, start: start + 0x60, end: start + 0xA0)
    ]
    index.restorePoints = [
      .init(
        name: "before_migration", time: Self.second + .microseconds(1), start: start + 0xA0, end: start + 0x108)
    ]
    let bytes = try Self.bytes(Self.index)
    #expect(index.encoded() == bytes)
    #expect(try WALIndex(decoding: bytes) == index)
  }
}
