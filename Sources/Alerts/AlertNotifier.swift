public import BackupModel
internal import BlockingWork
internal import DurableFiles
public import JobState
public import Logging
internal import Synchronization

/// One channel as it is to be kept.
public struct AlertRoute: Sendable {
  public var id: AlertChannelID
  public var rules: ChannelRules
  public var channel: any AlertChannel
  /// Says whether two routes are the same: all that the configuration says of it, and no secret.
  public var identity: String

  public init(id: AlertChannelID, rules: ChannelRules, channel: any AlertChannel, identity: String) {
    self.id = id
    self.rules = rules
    self.channel = channel
    self.identity = identity
  }
}

/// Tells people and programs what is wrong, once, and when it is over: each channel by a loop on a lane of its own, so that
/// one that hangs holds no other up.
///
/// It looks at the conditions of a ``JobStateStore`` and at what a channel has told of them, which it keeps in
/// `<directory>/<channel>.json` beside the messages that wait. So a restart tells nothing twice and loses nothing; a message
/// that was sent and not acknowledged when the daemon died is sent again, under the same id.
public final class AlertNotifier: Sendable {
  public struct Options: Sendable {
    /// Where the channels' files are.
    public var directory: String
    /// What messages call this host.
    public var host: String
    /// How long a channel may fail for reasons that pass before others tell of it.
    public var patience: Duration = .seconds(60)
    /// Messages are given up when they have waited so long.
    public var longestWait: Duration = .seconds(7 * 86400)
    public var now: @Sendable () -> Timestamp = { .now() }

    public init(directory: String, host: String) {
      self.directory = directory
      self.host = host
    }
  }

  private let options: Options
  private let state: JobStateStore
  private let logger: Logger
  private let watch: ConditionWatch
  private let keepers = Mutex<[AlertChannelID: ChannelKeeper]>([:])
  private let starts: AsyncStream<ChannelKeeper>
  private let startsInput: AsyncStream<ChannelKeeper>.Continuation

  /// - Throws: `FileError` where the directory cannot be made.
  public init(_ options: Options, state: JobStateStore, logger: Logger) throws {
    try DurableFile.makeDirectory(options.directory)
    self.options = options
    self.state = state
    self.logger = logger
    watch = ConditionWatch(now: options.now)
    (starts, startsInput) = AsyncStream.makeStream(of: ChannelKeeper.self)
    state.observeConditions { [watch] in watch.take($0) }
  }

  /// Keeps the channels of ``apply(_:)`` until cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      for await keeper in starts { group.addTask { await keeper.run() } }
      group.cancelAll()
    }
  }

  /// These channels from now on. One that is the same as before goes on undisturbed.
  public func apply(_ routes: [AlertRoute]) {
    keepers.withLock { keepers in
      for (id, keeper) in keepers where !routes.contains(where: { $0.id == id && $0.identity == keeper.route.identity })
      {
        keeper.stop()
      }
      var next: [AlertChannelID: ChannelKeeper] = [:]
      for route in routes {
        let before = keepers[route.id]
        if let before, before.route.identity == route.identity {
          next[route.id] = before
          continue
        }
        let keeper = ChannelKeeper(
          route, options: options, state: state, watch: watch, logger: logger, predecessor: before)
        next[route.id] = keeper
        startsInput.yield(keeper)
      }
      keepers = next
    }
    forget(except: Set(routes.map { ChannelKeeper.conditionID($0.id) }))
  }

  /// What is wrong with a channel that is not there is wrong no longer.
  private func forget(except kept: Set<String>) {
    for condition in state.conditions() where condition.id.hasPrefix("alert-channel:") && !kept.contains(condition.id) {
      logger.attempt { try state.resolve(condition.id) }
    }
  }

  /// Channels whose loop does not turn.
  public func stalledChannels(for limit: Duration) -> [AlertChannelID] {
    keepers.withLock { $0.filter { $0.value.heartbeat.age > limit }.keys.sorted() }
  }

  public var channels: [AlertChannelID] { keepers.withLock { $0.keys.sorted() } }

  /// Sends a message that says that nothing is wrong, at once and beside the queue.
  /// - Parameter channel: Nil for all.
  /// - Returns: How each took it, by name; empty where there is none of that name.
  public func test(_ channel: AlertChannelID? = nil) async -> [AlertTestResult] {
    let routes = keepers.withLock { $0.values.map(\.route) }.filter { channel == nil || $0.id == channel }
    return await withTaskGroup(of: AlertTestResult.self) { group in
      for route in routes { group.addTask { await self.test(route) } }
      var results: [AlertTestResult] = []
      for await result in group { results.append(result) }
      return results.sorted { $0.channel < $1.channel }
    }
  }

  private func test(_ route: AlertRoute) async -> AlertTestResult {
    let began = ContinuousClock.now
    let (host, now) = (options.host, options.now)
    var result = AlertTestResult(channel: route.id, kind: route.channel.kind)
    do {
      let receipt = try await Lane(label: "alerts.test.\(route.id)").run { cancellation in
        let time = now()
        return try route.channel.deliver(
          AlertMessage(created: time, items: []), AlertContext(host: host, channel: route.id, now: time), cancellation)
      }
      result.answer = receipt.answer
      result.error = receipt.trouble
      result.isDelivered = receipt.trouble == nil
    } catch {
      result.error = ErrorReport(error)
    }
    result.durationSeconds = (ContinuousClock.now - began).secondsValue
    return result
  }
}
