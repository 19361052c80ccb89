/// So that an actor can live on a lane: what it does may block then, and holds nobody up but its own callers.
extension Lane: SerialExecutor {
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    perform { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
