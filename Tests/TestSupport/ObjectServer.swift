internal import FoundationEssentials
internal import Glibc

/// A real server of objects on loopback, empty, for the length of a closure.
public struct ObjectServer: Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    /// Ceph's gateway: checks signatures, payloads and conditions.
    case ceph
    /// rclone over a directory: checks signatures, and no conditions.
    case rclone
    /// moto: knows storage classes that must be thawed, and checks no signature.
    case moto
    /// fake-gcs-server, Google's protocol.
    case gcs
    /// OpenSSH.
    case sftp

    var script: String {
      switch self {
      case .ceph: "ceph-s3.sh"
      case .rclone: "s3-server.sh"
      case .moto: "aws-server.sh"
      case .gcs: "gcs-server.sh"
      case .sftp: "sftp-server.sh"
      }
    }
  }

  public let kind: Kind
  /// What it said of itself when it started: `endpoint`, `key`, `secret`, `region`, `data` and so on.
  public let facts: [String: String]
  public var endpoint: String { facts["endpoint"] ?? "" }
  public let directory: String
  private let script: String
  private let variables: [String: String]

  /// The same server, spoken to at another address.
  public func found(at endpoint: String) throws -> ObjectServer {
    var facts = facts
    facts["endpoint"] = endpoint
    if let known = facts["known_hosts"] {
      // Its key is known by its port.
      func port(_ text: String) -> String { text.split(separator: ":").last.map(String.init) ?? "" }
      let text = try String(contentsOfFile: known, encoding: .utf8)
      let moved = text.replacing("]:" + port(self.endpoint), with: "]:" + port(endpoint))
      facts["known_hosts"] = known + "." + port(endpoint)
      try (text + moved).write(toFile: known + "." + port(endpoint), atomically: false, encoding: .utf8)
    }
    return ObjectServer(kind: kind, facts: facts, directory: directory, script: script, variables: variables)
  }

  /// Starts it again at the same place with what it had; for those that keep it on disk.
  public func startAgain() throws {
    let port = endpoint.split(separator: ":").last.map(String.init) ?? ""
    try Program.succeed(
      "/bin/bash", [script, "start", directory, port], environment: variables, deadline: .seconds(120))
  }

  /// Stops the server before its time.
  public func stop() throws { try Program.succeed("/bin/bash", [script, "stop", directory], environment: variables) }

  /// - Throws: ``TestSupportError`` where its script fails.
  public static func run<Result>(_ kind: Kind, _ body: (ObjectServer) throws -> Result) throws -> Result {
    let environment = ProcessInfo.processInfo.environment
    guard let parts = environment["BACKUPD_TEST_PARTS"], let servers = environment["BACKUPD_TEST_SERVERS"] else {
      throw TestSupportError.systemCall("run scripts/test.sh, which sets", path: "BACKUPD_TEST_PARTS", errno: EINVAL)
    }
    return try TemporaryDirectory.run { directory in
      let script = parts + "/" + kind.script
      let variables = [
        "RCLONE": servers + "/bin/rclone", "MOTO_SERVER": servers + "/bin/moto_server", "VENV": servers,
      ]
      let output = try Program.succeed(
        "/bin/bash", [script, "start", directory + "/server", "\(try FreePort.find())"],
        environment: variables, deadline: .seconds(120))
      defer {
        _ = try? Program.run("/bin/bash", [script, "stop", directory + "/server"], environment: variables)
      }
      var facts: [String: String] = [:]
      for word in output.split(whereSeparator: \.isWhitespace) {
        guard let equals = word.firstIndex(of: "=") else { continue }
        facts[String(word[..<equals])] = String(word[word.index(after: equals)...])
      }
      return try body(
        ObjectServer(
          kind: kind, facts: facts, directory: directory + "/server", script: script, variables: variables))
    }
  }

  /// What a bucket keeps of what is deleted.
  public enum BucketKind: String, Sendable { case plain, versioned, locking }

  /// Makes a bucket of S3's protocol, by Amazon's own client.
  public func makeBucket(_ name: String, _ kind: BucketKind = .plain) throws {
    try amazon(
      """
      s3.create_bucket(Bucket=words[0], ObjectLockEnabledForBucket=words[1] == "locking")
      if words[1] == "versioned":
          s3.put_bucket_versioning(Bucket=words[0], VersioningConfiguration={"Status": "Enabled"})
      """, name, kind.rawValue)
  }

  /// Lines of Python with Amazon's own client `s3`, `iam` for Ceph's users, and the `words` that are given.
  /// - Parameter keys: Whose; nil takes those that may do anything.
  /// - Returns: What they print.
  @discardableResult
  public func amazon(
    _ lines: String, as keys: (key: String, secret: String)? = nil, _ words: String...
  ) throws -> String {
    let program = """
      import boto3, botocore.config, json, sys
      from botocore.exceptions import ClientError
      endpoint, key, secret, *words = sys.argv[1:]
      def client(service):
          return boto3.client(service, endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
              region_name="us-east-1", config=botocore.config.Config(request_checksum_calculation="when_required",
              response_checksum_validation="when_required"))
      s3, iam = client("s3"), client("iam")
      def refused(call, **words):
          try:
              call(**words)
          except ClientError as error:
              if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                  return True
              raise
          return False
      """ + "\n" + lines
    return try Program.succeed(
      (variables["VENV"] ?? "") + "/bin/python3",
      ["-c", program, endpoint, keys?.key ?? facts["key"] ?? "", keys?.secret ?? facts["secret"] ?? ""] + words)
  }

  /// Has moto take so long to thaw an object from the first look after the asking on; otherwise it is thawed at once.
  ///
  /// Returns once what is there is as old: moto takes a younger object for one that is thawed.
  public func slowThawing(seconds: Int) throws {
    let change =
      "{\"model_name\": \"s3::keyrestore\", \"transition\": {\"progression\": \"time\", \"seconds\": \(seconds)}}"
    try Program.succeed(
      "/usr/bin/curl",
      [
        "-sS", "--fail-with-body", "-m", "30", "-H", "Content-Type: application/json", "-d", change,
        endpoint + "/moto-api/state-manager/set-transition",
      ])
    let end = ContinuousClock.now + .seconds(seconds)
    try Poll.until(.seconds(seconds + 10), "age of objects", every: .milliseconds(50)) { .now > end }
  }

  /// Ends it for good, as a server does that loses power.
  public func kill() throws {
    guard let pid = facts["pid"].flatMap({ Int32($0) }) else { return }
    _ = Glibc.kill(pid, SIGKILL)
    try Poll.until(.seconds(10), "end of \(kind)", every: .milliseconds(20)) {
      try !Program.run("/usr/bin/curl", ["-s", "-m", "2", "-o", "/dev/null", endpoint]).succeeded
    }
  }
}

extension ObjectServer {
  /// Makes a key of moto's KMS under an alias such as `alias/backup`.
  /// - Returns: The key's ARN.
  public func makeKMSKey(_ alias: String, region: String) throws -> String {
    let made = try kms("CreateKey", "{}", region: region)
    struct Answer: Decodable {
      struct Metadata: Decodable {
        var arn: String
        enum CodingKeys: String, CodingKey { case arn = "Arn" }
      }
      var key: Metadata
      enum CodingKeys: String, CodingKey { case key = "KeyMetadata" }
    }
    let arn = try JSONDecoder().decode(Answer.self, from: Data(made.utf8)).key.arn
    let target = arn.split(separator: "/").last ?? ""
    _ = try kms("CreateAlias", "{\"AliasName\":\"\(alias)\",\"TargetKeyId\":\"\(target)\"}", region: region)
    return arn
  }

  /// moto takes region and service from the signature, which it does not check.
  private func kms(_ operation: String, _ body: String, region: String) throws -> String {
    let signature =
      "AWS4-HMAC-SHA256 Credential=any/20261126/\(region)/kms/aws4_request, SignedHeaders=host, Signature=00"
    return try Program.succeed(
      "/usr/bin/curl",
      [
        "-sS", "--fail-with-body", "-m", "30", "-H", "Content-Type: application/x-amz-json-1.1",
        "-H", "X-Amz-Target: TrentService.\(operation)", "-H", "Authorization: \(signature)", "-d", body,
        endpoint + "/",
      ])
  }
}
