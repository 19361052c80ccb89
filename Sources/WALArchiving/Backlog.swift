internal import BackupModel

/// When space will be used up, from how it went lately. A value; the clock is given to it.
public struct SpaceForecast: Sendable {
  /// Shorter stretches say more of a checkpoint than of a trend.
  static let shortest: Duration = .seconds(60)
  static let longest: Duration = .seconds(900)

  private var samples: [(uptime: Duration, free: Int64)] = []

  public init() {}

  /// Notes how much is free now.
  /// - Parameters:
  ///   - free: Bytes that may still be used.
  ///   - uptime: Of a clock that nobody sets.
  /// - Returns: How long that lasts at the rate of the last minutes; nil where it does not shrink, or is not known yet.
  public mutating func timeLeft(free: Int64, at uptime: Duration) -> Duration? {
    samples.removeAll { uptime - $0.uptime > Self.longest }
    defer { samples.append((uptime, free)) }
    guard let first = samples.first, uptime - first.uptime >= Self.shortest, first.free > free else {
      return free <= 0 ? .zero : nil
    }
    let rate = Double(first.free - free) / (uptime - first.uptime).secondsValue
    return .seconds(Int64(min(Double(max(free, 0)) / rate, 1e9)))
  }
}

/// What a server keeps for our slot.
public struct SlotBacklog: Sendable, Hashable {
  /// WAL from the slot's oldest byte to the server's newest.
  public var retained: UInt64
  /// Bytes that may be written before the server lets go of it; nil where it never does.
  public var safe: Int64?

  public init(retained: UInt64, safe: Int64?) {
    self.retained = retained
    self.safe = safe
  }
}
