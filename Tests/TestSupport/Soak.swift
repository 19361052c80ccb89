import FoundationEssentials

/// What `scripts/soak.sh` asks of the tests.
public enum Soak {
  /// Whether the long tests run at full size.
  public static var isOn: Bool { ProcessInfo.processInfo.environment["BACKUPD_SOAK"] == "1" }

  /// Whether the time that `SOAK_MINUTES` leaves a test is over; never, where it names none.
  public static func isOver(since begin: ContinuousClock.Instant) -> Bool {
    let minutes = ProcessInfo.processInfo.environment["BACKUPD_SOAK_MINUTES"].flatMap { Int64($0) }
    return minutes.map { ContinuousClock.now - begin > .seconds($0 * 60) } ?? false
  }

  /// Where random choices begin; told by each test that makes them, so that a failure can be repeated.
  public static var seed: UInt64 {
    ProcessInfo.processInfo.environment["BACKUPD_SOAK_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...999_999)
  }
}

/// Random numbers that are the same for the same seed (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
