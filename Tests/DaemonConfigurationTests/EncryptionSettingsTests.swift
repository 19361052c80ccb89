import BackupModel
import Testing

@testable import DaemonConfiguration

@Suite("The configuration of encryption") struct EncryptionSettingsTests {
  private static let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

  private func encryption(_ text: String) throws -> RepositorySettings.Encryption {
    try Sample.parse(Sample.text(encryption: text)).repository.encryption
  }

  @Test("names none, a key file, a key of AWS KMS, or several of them in order")
  func forms() throws {
    let east = AWSKMSSettings(key: "alias/oauth-backup-key", region: "us-east-1")
    #expect(try encryption("none") == .none)
    #expect(try encryption("{key-file: /etc/key}") == .keyFile("/etc/key"))
    #expect(try encryption("{aws-kms: alias/oauth-backup-key, region: us-east-1}") == .wrapped([.awsKMS(east)]))
    let all = try encryption(
      """
      [ {aws-kms: alias/oauth-backup-key, region: us-east-1}, {aws-kms: "\(Self.arn)"},
          {key-file: /etc/key}]
      """)
    let west = AWSKMSSettings(key: Self.arn, region: "eu-west-1")
    #expect(all == .wrapped([.awsKMS(east), .awsKMS(west), .keyFile("/etc/key")]) && all.keyFiles == ["/etc/key"])
  }

  @Test("takes an endpoint, and where the credentials are kept")
  func reach() throws {
    let text = """
      {aws-kms: alias/k, region: us-east-1, endpoint: "https://vpce-1.kms.us-east-1.vpce.amazonaws.com", \
      credentials: {access-key: {file: /etc/id}, secret-key: {credential: aws}}}
      """
    guard case .awsKMS(let kms) = try encryption(text).recipients.first else {
      Issue.record("no key of AWS KMS")
      return
    }
    #expect(kms.endpoint == "https://vpce-1.kms.us-east-1.vpce.amazonaws.com")
    #expect(kms.credentials == AWSKeySources(accessKey: .file("/etc/id"), secretKey: .credential("aws")))
    #expect(try encryption("{aws-kms: alias/k, region: us-east-1, endpoint: \"http://127.0.0.1:5000\"}") != .none)
  }

  @Test(
    "is refused with the place and what to write instead",
    arguments: [
      ("{aws-kms: alias/k}", "f:4:15: repository.encryption: the key \"region\" is missing"),
      ("{key-file: /k, aws-kms: alias/k, region: us-east-1}", "must name exactly one of key-file and aws-kms"),
      ("{}", "must name exactly one of key-file and aws-kms"), ("[]", "must name at least one recipient"),
      ("{key-file: /k, region: us-east-1}", "\"region\" goes with aws-kms"),
      ("{aws-kms: backup, region: us-east-1}", "write alias/NAME, the key's id or its whole ARN"),
      ("{aws-kms: alias/k, region: Virginia}", "f:4:42: repository.encryption.region: \"Virginia\" is not a region"),
      ("{aws-kms: \"\(arn)\", region: us-east-1}", "is not the region of the key's ARN, \"eu-west-1\""),
      ("{aws-kms: alias/k, region: us-east-1, endpoint: kms.local}", "is not the URL of an endpoint"),
      ("{aws-kms: alias/k, region: us-east-1, endpoint: \"https://h/path\"}", "is not the URL of an endpoint"),
      ("{aws-kms: alias/k, region: us-east-1, endpoint: \"http://10.1.1.1\"}", "in the clear; write https://10.1.1.1"),
      (
        "{aws-kms: alias/k, region: us-east-1, credentials: {access-key: AKIA, secret-key: {file: /s}}}",
        "access-key: a secret is never written here"
      ),
      (
        "{aws-kms: alias/k, region: us-east-1, credentials: {access-key: {file: /s}}}",
        "credentials: the key \"secret-key\" is missing"
      ),
      (
        "[{key-file: /k}, none]", "repository.encryption[2]: must be {key-file: PATH} or {aws-kms: KEY, region: REGION}"
      ),
      ("[{key-file: /k}, {key-file: /k}]", "repository.encryption[2]: is the key of entry 1 as well"),
      ("[{key-file: /k}, {aws-kmss: alias/k}]", "repository.encryption[2].aws-kmss: unknown key"),
      ("{gcp-kms: k}", "repository.encryption.gcp-kms: is not supported by this version"),
    ])
  func refused(text: String, problem: String) {
    let problems = Sample.problems(Sample.text(encryption: text))
    #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
  }

  @Test("differs from another in a readable line, and has its secrets checked")
  func difference() throws {
    let old = try Sample.parse(Sample.text(encryption: "{key-file: /k}"))
    let new = try Sample.parse(
      Sample.text(
        encryption: """
          [{aws-kms: alias/k, region: us-east-1, credentials: {access-key: {environment: A}, secret-key: {file: /nonesuch}}}, {key-file: /k}]
          """))
    #expect(
      new.difference(from: old) == [
        "repository: encryption changed from \"key-file /k\" to \"aws-kms alias/k in us-east-1 with environment "
          + "variable \"A\" and file \"/nonesuch\", key-file /k\""
      ])
    #expect(new.secretProblems().map(\.key) == ["repository.encryption.credentials.secret-key"])
  }
}
