internal import BackupModel
internal import BlockingWork
internal import Logging
internal import Repository
import Synchronization
internal import WALArchiving

/// Knows what the stores hold of each cluster, and has them listed again where there is a reason to.
///
/// On a lane of its own: a store that hangs keeps nobody from judging by what is known.
final class HoldingsKeeper: Sendable {
  /// After a listing that failed.
  private static let retryInterval: Duration = .seconds(30)

  private struct State {
    var known: [ClusterID: ClusterHoldings] = [:]
    var failedAt: [ClusterID: Duration] = [:]
    /// Counts changes of the repository: what was listed of another is of no use.
    var generation = 0
  }

  /// Why a cluster may have to be listed.
  struct Reason {
    var reach: WALReach?
    /// When a job of it last succeeded.
    var lastSuccess: Timestamp?
    var keepsWAL: Bool
  }

  private let state = Mutex(State())
  private let lane = Lane(label: "monitoring.holdings")
  private let clock: any JobClock
  private let logger: Logger

  init(clock: any JobClock, logger: Logger) {
    self.clock = clock
    self.logger = logger
  }

  /// Nil before the first listing.
  func holdings(of cluster: ClusterID) -> ClusterHoldings? { state.withLock { $0.known[cluster] } }

  /// The configuration names other stores now.
  func forget() {
    state.withLock { $0 = State(generation: $0.generation + 1) }
  }

  /// Lists the stores for one cluster, where what is known of it is out of date.
  func refresh(_ cluster: ClusterID, in repository: Repository, _ reason: Reason) async {
    let (known, failedAt, generation) = state.withLock { ($0.known[cluster], $0.failedAt[cluster], $0.generation) }
    let uptime = clock.uptime
    if let known, known.isFresh(at: uptime, reason.reach, lastSuccess: reason.lastSuccess) { return }
    if let failedAt, uptime - failedAt < Self.retryInterval { return }
    do {
      let read = try await lane.run { _ in
        try ClusterHoldings(
          repository, cluster, at: uptime, lastSuccess: reason.lastSuccess, keepsWAL: reason.keepsWAL)
      }
      state.withLock { state in
        guard state.generation == generation else { return }
        state.known[cluster] = read.keeping(known)
        state.failedAt[cluster] = nil
      }
    } catch {
      // What the stores held stays what is known of them; that one does not answer is another's to tell.
      state.withLock { $0.failedAt[cluster] = uptime }
      logger.debug("stores not listed", metadata: ["cluster": "\(cluster)", "error": "\(ErrorReport(error))"])
    }
  }
}
