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

  /// Keys that last so long, and none after them.
  private func lasting(_ time: Duration) -> AWSCredentials {
    let reads = Mutex(0)
    return AWSCredentials(
      .configured {
        let number = reads.withLock { reads -> Int in
          reads += 1
          return reads
        }
        if number > 1 { throw AWSCredentialError.none(reason: "away") }
        return AWSKeys(accessKey: "old", secretKey: "b", expires: Timestamp.now() + time)
      })
  }

  @Test("that are about to end are used while no others can be had, and no longer")
  func renewal() throws {
    let ending = lasting(.seconds(60))
    for _ in 0..<3 { #expect(try ending.keys(Cancellation()).accessKey == "old") }
    ending.forget()
    #expect(throws: AWSCredentialError.self) { try ending.keys(Cancellation()) }
    let ended = lasting(.seconds(-1))
    _ = try ended.keys(Cancellation())
    #expect(throws: AWSCredentialError.self) { try ended.keys(Cancellation()) }
  }
}

@Suite("Trying again") struct RetryScheduleTests {
  private struct Transient: Error {}

  @Test("ends by success, by an error that lasts, by time and by cancellation")
  func ends() throws {
    func again(_: any Error) -> RetrySchedule.Advice { .again(after: nil) }
    func giveUp(_: any Error) -> RetrySchedule.Advice { .giveUp }
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

  @Test("does once what the server asks for, also where there is no time for it, and within bounds")
  func wishes() {
    func attempts(_ schedule: RetrySchedule, wish: Duration) -> (count: Int, time: Duration) {
      let begin = ContinuousClock.now
      var count = 0
      func again(_: any Error) -> RetrySchedule.Advice { .again(after: wish) }
      try? schedule.run(Cancellation(), advice: again) { attempt in
        count = attempt + 1
        throw Transient()
      }
      return (count, ContinuousClock.now - begin)
    }
    func schedule(_ total: Duration) -> RetrySchedule {
      RetrySchedule(total: total, first: .milliseconds(1), longest: .milliseconds(5), beyond: .milliseconds(100))
    }
    // All the time there is, as 30 s by default.
    let equal = attempts(schedule(.milliseconds(50)), wish: .milliseconds(50))
    #expect(equal.count == 2 && equal.time >= .milliseconds(50))
    let long = attempts(schedule(.milliseconds(50)), wish: .seconds(3600))
    #expect(long.count == 2 && long.time >= .milliseconds(145))
    #expect(attempts(schedule(.zero), wish: .milliseconds(1)).count == 1)
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

  @Test("is not spared those who ask a server that only a glance did not reach")
  func glances() throws {
    let (schedule, once) = (RetrySchedule(total: .seconds(20)), RetrySchedule(total: .zero))
    let away = TransferError.failed(host: "h", reason: "away", isTransient: true)
    let begin = ContinuousClock.now
    let passed = Mutex(Duration.zero)
    let health = ServerHealth(pause: .seconds(60)) { begin + passed.withLock { $0 } }
    func glance(taking time: Duration) throws {
      try health.asking(once) { _ in
        passed.withLock { $0 += time }
        throw away
      }
    }
    #expect(throws: TransferError.self) { try glance(taking: .seconds(10)) }
    // It counts for none but other glances, and for them as long as it took.
    var asked = 0
    #expect(throws: TransferError.self) { try health.asking(once) { _ in asked += 1 } }
    #expect(asked == 0)
    passed.withLock { $0 += .seconds(10) }
    #expect(throws: TransferError.self) { try glance(taking: .milliseconds(1)) }
    passed.withLock { $0 += .milliseconds(1) }
    try health.asking(once) { _ in asked += 1 }
    #expect(asked == 1)
    #expect(throws: TransferError.self) { try glance(taking: .seconds(10)) }
    try health.asking(schedule) { #expect($0.total == .seconds(20)) }
    try health.asking(once) { _ in asked += 1 }
    #expect(asked == 2)
    // Those who have tried for long are believed.
    #expect(throws: TransferError.self) { try health.asking(schedule) { _ in throw away } }
    #expect(throws: TransferError.self) { try health.asking(once) { _ in asked += 1 } }
    #expect(asked == 2)
    // A glance at a server that was away does not hold up the one who asks it next.
    passed.withLock { $0 += .seconds(61) }
    #expect(throws: TransferError.self) { try glance(taking: .milliseconds(1)) }
    try health.asking(schedule) { _ in asked += 1 }
    #expect(asked == 3)
  }
}
