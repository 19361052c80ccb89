import BackupModel
import BlockingWork
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Transfer

@Suite("AWS credentials", .serialized) struct AWSCredentialsTests {
  private func keys(_ environment: [String: String]) throws -> AWSKeys {
    try AWSCredentials(.automatic, environment: environment).keys(Cancellation())
  }

  @Test("come from the environment, then from the shared file, then from the instance's role")
  func order() throws {
    try TemporaryDirectory.run { directory in
      let file = directory + "/credentials"
      let text = """
        [default]
        aws_access_key_id = FILEDEFAULT
        aws_secret_access_key=one
        # a comment
        [ nightly ]
        aws_access_key_id=FILENIGHTLY
        aws_secret_access_key = two = with = signs
        aws_session_token = three
        """
      try text.write(toFile: file, atomically: false, encoding: .utf8)
      var environment = ["AWS_SHARED_CREDENTIALS_FILE": file]
      #expect(try keys(environment).accessKey == "FILEDEFAULT")
      environment["AWS_PROFILE"] = "nightly"
      let nightly = try keys(environment)
      #expect(nightly.accessKey == "FILENIGHTLY" && nightly.secretKey == "two = with = signs")
      #expect(nightly.sessionToken == "three")
      environment["AWS_PROFILE"] = "nonesuch"
      #expect { try keys(environment) } throws: { ErrorReport($0).description.contains("nonesuch") }
      environment["AWS_ACCESS_KEY_ID"] = "ENVIRONMENT"
      environment["AWS_SECRET_ACCESS_KEY"] = "four"
      #expect(try keys(environment).accessKey == "ENVIRONMENT")
      #expect(throws: AWSCredentialError.self) {
        try keys(["HOME": directory, "AWS_EC2_METADATA_DISABLED": "true"])
      }
    }
  }

  @Test("of an instance's role end, and are asked for by its second protocol")
  func instance() throws {
    try ObjectServer.run(.moto) { server in
      let keys = try keys(["HOME": "/nonexistent", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.endpoint])
      #expect(!keys.accessKey.isEmpty && keys.sessionToken != nil)
      #expect(try #require(keys.expires) > .now())
    }
  }

  @Test("that are asked for again are not read again before they end, unless they were refused")
  func kept() throws {
    let reads = Mutex(0)
    let credentials = AWSCredentials(
      .configured {
        reads.withLock { $0 += 1 }
        return AWSKeys(accessKey: "a", secretKey: "b")
      })
    for _ in 0..<3 { _ = try credentials.keys(Cancellation()) }
    #expect(reads.withLock { $0 } == 1)
    credentials.forget()
    _ = try credentials.keys(Cancellation())
    #expect(reads.withLock { $0 } == 2)
  }
}

@Suite("Trying again") struct RetryScheduleTests {
  private struct Transient: Error {}

  @Test("ends by success, by an error that lasts, by time and by cancellation")
  func ends() throws {
    func again(_: any Error) -> RetrySchedule.Advice { .again(after: nil) }
    func giveUp(_: any Error) -> RetrySchedule.Advice { .giveUp }
    func later(_: any Error) -> RetrySchedule.Advice { .again(after: .seconds(3600)) }
    let schedule = RetrySchedule(total: .milliseconds(300), first: .milliseconds(1), longest: .milliseconds(5))
    var attempts = 0
    let answer = try schedule.run(Cancellation(), advice: again) { attempt in
      attempts += 1
      if attempt < 4 { throw Transient() }
      return attempt
    }
    #expect(answer == 4 && attempts == 5)
    attempts = 0
    #expect(throws: Transient.self) {
      try schedule.run(Cancellation(), advice: giveUp) { _ in
        attempts += 1
        throw Transient()
      }
    }
    #expect(attempts == 1)
    // What it waits for can take longer than there is time: then it is not waited for.
    #expect(throws: Transient.self) {
      try schedule.run(Cancellation(), advice: later) { _ in throw Transient() }
    }
    let cancellation = Cancellation()
    #expect(throws: CancellationError.self) {
      try schedule.run(cancellation, advice: again) { _ in
        cancellation.cancel()
        throw Transient()
      }
    }
  }

  @Test("happens once where the first attempt took all the time, and never where there is none")
  func stalled() {
    func attempts(_ schedule: RetrySchedule, failing: Int) -> Int {
      var count = 0
      func again(_: any Error) -> RetrySchedule.Advice { .again(after: nil) }
      try? schedule.run(Cancellation(), advice: again) { attempt in
        count = attempt + 1
        try Cancellation().sleep(.milliseconds(20))
        if attempt < failing { throw Transient() }
      }
      return count
    }
    let short = RetrySchedule(total: .milliseconds(10), first: .milliseconds(1))
    #expect(attempts(short, failing: 1) == 2 && attempts(short, failing: 9) == 2)
    #expect(attempts(RetrySchedule(total: .zero), failing: 9) == 1)
  }

  @Test("is spared those who ask a server that was away a moment ago")
  func health() throws {
    let schedule = RetrySchedule(total: .seconds(20))
    let health = ServerHealth(pause: .seconds(60))
    let away = TransferError.failed(host: "h", reason: "away", isTransient: true)
    var asked = 0
    func ask(_ error: TransferError?) throws {
      try health.asking(schedule) { _ in
        asked += 1
        if let error { throw error }
      }
    }
    #expect(throws: TransferError.self) { try ask(away) }
    #expect(throws: TransferError.self) { try ask(nil) }
    #expect(asked == 1)
    let other = ServerHealth(pause: .zero)
    #expect(throws: TransferError.self) {
      try other.asking(schedule) {
        #expect($0.total == .seconds(20))
        throw away
      }
    }
    // One attempt is enough for a server that was waited for before.
    #expect(throws: TransferError.self) {
      try other.asking(schedule) {
        #expect($0.total == .zero)
        throw away
      }
    }
    try other.asking(schedule) { _ in }
    try other.asking(schedule) { #expect($0.total == .seconds(20)) }
  }
}
