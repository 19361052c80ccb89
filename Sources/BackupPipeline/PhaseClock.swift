internal import BackupModel

/// Measures the phases of a run, one after another.
struct PhaseClock {
  private var phases: [RunPhase] = []
  private var current: (name: String, since: ContinuousClock.Instant)?
  private let observe: @Sendable (RunProgress) -> Void

  init(observe: @escaping @Sendable (RunProgress) -> Void) { self.observe = observe }

  mutating func begin(_ name: String) {
    end()
    current = (name, .now)
    observe(RunProgress(phase: name))
  }

  mutating func finish() -> [RunPhase] {
    end()
    return phases
  }

  private mutating func end() {
    guard let current else { return }
    phases.append(RunPhase(name: current.name, durationSeconds: (ContinuousClock.now - current.since).secondsValue))
    self.current = nil
  }
}
