/// Measures the phases of a run, one after another.
public struct PhaseClock {
  private var phases: [RunPhase] = []
  private var current: (name: String, since: ContinuousClock.Instant)?
  private let observe: @Sendable (RunProgress) -> Void

  public init(observe: @escaping @Sendable (RunProgress) -> Void) { self.observe = observe }

  public mutating func begin(_ name: String) {
    end()
    current = (name, .now)
    observe(RunProgress(phase: name))
  }

  public mutating func finish() -> [RunPhase] {
    end()
    return phases
  }

  private mutating func end() {
    guard let current else { return }
    phases.append(RunPhase(name: current.name, durationSeconds: (ContinuousClock.now - current.since).secondsValue))
    self.current = nil
  }
}
