import BackupModel
import BlockingWork
import Foundation
import Storage
import TestSupport
import Testing
import Transfer

@testable import KeyManagement
@testable import Repository

@Suite("A repository whose key is wrapped by AWS KMS", .serialized) struct AWSKMSTests {
  private static let secret = "wJalrXUtnFEMI-MARKED-SECRET"
  private static let east = AWSKMSKeyName(key: "alias/backup", region: "us-east-1")
  private static let west = AWSKMSKeyName(key: "alias/backup", region: "eu-west-1")

  private static func key(_ name: AWSKMSKeyName, _ endpoint: String) -> AWSKMSKey {
    let keys = AWSKeys(accessKey: "AKIDEXAMPLE", secretKey: secret)
    return AWSKMSKey(
      name, endpoint: endpoint, credentials: AWSCredentials(.configured { keys }, environment: [:]),
      retries: RetrySchedule(total: .milliseconds(500), first: .milliseconds(50)))
  }

  /// A repository that is wrapped for a key in each of two regions.
  private struct Fixture {
    var kms: ObjectServer
    var arns: [String]
    var directory: String
    var stores: [RepositoryStore]
    var repository: Repository
    /// Where nobody listens.
    var nowhere: String

    func open(_ recipients: KeyRecipient...) throws -> Repository {
      try Repository.open(stores: stores, unlocking: Unlocking(recipients))
    }
    var east: KeyRecipient { .awsKMS(AWSKMSTests.key(AWSKMSTests.east, kms.endpoint)) }
    var west: KeyRecipient { .awsKMS(AWSKMSTests.key(AWSKMSTests.west, kms.endpoint)) }
    var awayEast: KeyRecipient { .awsKMS(AWSKMSTests.key(AWSKMSTests.east, nowhere)) }
    var awayWest: KeyRecipient { .awsKMS(AWSKMSTests.key(AWSKMSTests.west, nowhere)) }

    func envelope(_ region: String) throws -> KeyEnvelope {
      try #require(try repository.recipients().compactMap(\.envelope).first { $0.region == region })
    }

    /// Puts another envelope in the place of one, with a check that fits.
    func replace(_ envelope: KeyEnvelope) throws {
      let path = "\(directory)/store/keys/\(repository.keys.current.id)/\(envelope.recipient).json"
      try Data(CheckedDocument.encodePlain(envelope)).write(to: URL(fileURLWithPath: path))
    }
  }

  private func withRepository(_ body: (Fixture) throws -> Void) throws {
    try ObjectServer.run(.moto) { kms in
      let arns = try [Self.east, Self.west].map { try kms.makeKMSKey($0.key, region: $0.region) }
      try TemporaryDirectory.run { directory in
        let stores = RepositoryFixture.named([PosixStore(root: directory + "/store", makesRoot: true)])
        let recipients = [Self.east, Self.west].map { KeyRecipient.awsKMS(Self.key($0, kms.endpoint)) }
        let repository = try Repository.create(
          in: stores, unlocking: Unlocking(recipients), cancellation: Cancellation())
        try body(
          Fixture(
            kms: kms, arns: arns, directory: directory, stores: stores, repository: repository,
            nowhere: "http://127.0.0.1:\(try FreePort.find())"))
      }
    }
  }

  @Test("has an envelope for each of two regions, and opens with either, the first one that answers")
  func twoRegions() throws {
    try withRepository { fixture in
      let recipients = try fixture.repository.recipients()
      #expect(Set(recipients.compactMap(\.envelope?.awsKey)) == Set(fixture.arns))
      #expect(Set(recipients.compactMap(\.envelope?.region)) == ["us-east-1", "eu-west-1"])
      let key = fixture.repository.keys.current.key.reveal()
      for recipients in [[fixture.east, fixture.west], [fixture.west], [fixture.awayEast, fixture.west]] {
        let opened = try Repository.open(stores: fixture.stores, unlocking: Unlocking(recipients))
        #expect(opened.keys.current.key.reveal() == key)
        let isEast = recipients.count == 2 && opened.keys.recipient.hasPrefix("aws-kms-us-east-1-")
        #expect(isEast || opened.keys.recipient.hasPrefix("aws-kms-eu-west-1-"))
      }
      #expect(try fixture.open(fixture.awayEast, fixture.west).keys.recipient.hasPrefix("aws-kms-eu-west-1-"))
      // Known by its ARN as well as by its alias.
      let arn = AWSKMSKeyName(key: fixture.arns[0], region: "us-east-1")
      let opened = try fixture.open(.awsKMS(Self.key(arn, fixture.kms.endpoint)))
      #expect(opened.keys.current.key.reveal() == key)
    }
  }

  @Test("says of every recipient why it does not open, and never the secret")
  func noneReachable() throws {
    try withRepository { fixture in
      let report = ErrorReport(
        try #require(throws: KeyError.self) { try fixture.open(fixture.awayEast, fixture.awayWest) })
      let detail = try #require(report.detail)
      #expect(report.summary == "could not unlock the repository with any recipient of its data key")
      #expect(detail.contains("AWS KMS key \"alias/backup\" in us-east-1: Could not talk to \"127.0.0.1:"), "\(report)")
      #expect(detail.contains("AWS KMS key \"alias/backup\" in eu-west-1: Could not talk to"), "\(report)")
      #expect(report.hint?.hasPrefix("Any one of them is enough.") == true && !"\(report)".contains(Self.secret))
      // A single one is told by its own error; one without an envelope by what there is.
      let single = ErrorReport(try #require(throws: AWSKMSError.self) { try fixture.open(fixture.awayEast) })
      #expect(single.summary == "could not unlock the repository with AWS KMS key \"alias/backup\" in us-east-1")
      #expect(single.detail != nil && single.hint?.contains("endpoint") == true)
      let elsewhere = AWSKMSKeyName(key: "alias/backup", region: "ap-south-1")
      #expect {
        try fixture.open(.awsKMS(Self.key(elsewhere, fixture.kms.endpoint)))
      } throws: {
        ErrorReport($0).detail?.contains("aws-kms-eu-west-1-") == true
      }
    }
  }

  @Test("does not open with a wrong encryption context, a changed blob, or a blob of another key")
  func forged() throws {
    try withRepository { fixture in
      let good = try fixture.envelope("us-east-1")
      func expectRefused(_ what: Comment, _ change: (inout KeyEnvelope) throws -> Void) throws {
        var envelope = good
        try change(&envelope)
        try fixture.replace(envelope)
        let error = try #require(throws: AWSKMSError.self, what) { try fixture.open(fixture.east) }
        #expect(ErrorReport(error).detail?.contains("AWS answered 400") == true, what)
        // The envelope of the other region still opens.
        #expect(try fixture.open(fixture.east, fixture.west).keys.recipient.hasPrefix("aws-kms-eu-west-1-"), what)
      }
      try expectRefused("context") { $0.sequence = 2 }
      for place in [0, 40, 90, good.wrapped.count - 1] {
        try expectRefused("byte \(place)") { envelope in
          var digits = Array(envelope.wrapped)
          digits[place] = digits[place] == "0" ? "1" : "0"
          envelope.wrapped = String(digits)
        }
      }
      // Somebody's own key, which he lets us use: the configuration names another.
      try expectRefused("another key") { envelope in
        _ = try fixture.kms.makeKMSKey("alias/theirs", region: "us-east-1")
        let theirs = Self.key(AWSKMSKeyName(key: "alias/theirs", region: "us-east-1"), fixture.kms.endpoint)
        let forged = try KeyEnvelope(.random(), repository: envelope.repository, for: .awsKMS(theirs))
        envelope.wrapped = forged.wrapped
      }
      try fixture.replace(good)
      #expect(try fixture.open(fixture.east).keys.current.id == fixture.repository.keys.current.id)
      var moved = good
      moved.repository = .random()
      #expect(throws: AWSKMSError.self) { try moved.unlock(with: fixture.east, name: "e") }
    }
  }

  @Test("is made only where every recipient can be reached, and once for each key")
  func creation() throws {
    try withRepository { fixture in
      func create(_ recipients: KeyRecipient...) throws {
        let store = PosixStore(root: fixture.directory + "/another", makesRoot: true)
        _ = try Repository.create(
          in: RepositoryFixture.named([store]), unlocking: Unlocking(recipients), cancellation: Cancellation())
      }
      #expect(throws: AWSKMSError.self) { try create(fixture.east, fixture.awayWest) }
      let byARN = AWSKMSKeyName(key: fixture.arns[0], region: "us-east-1")
      #expect {
        try create(fixture.east, .awsKMS(Self.key(byARN, fixture.kms.endpoint)))
      } throws: {
        if case KeyError.recipientTwice = $0 { true } else { false }
      }
      let missing = AWSKMSKeyName(key: "alias/nonesuch", region: "us-east-1")
      #expect {
        try create(.awsKMS(Self.key(missing, fixture.kms.endpoint)))
      } throws: {
        let report = ErrorReport($0)
        return report.detail?.contains("NotFoundException") == true && report.hint?.contains("us-east-1") == true
      }
      #expect(!FileManager.default.fileExists(atPath: fixture.directory + "/another"))
      let file = try KeyFile.create(fixture.directory + "/key")
      try create(.keyFile(file), fixture.east)
    }
  }
}
