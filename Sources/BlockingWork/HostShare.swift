internal import CLinux
internal import Dispatch
internal import Foundation

/// What blocking work gets of the host's processors and disks beside everything else.
public enum HostShare: Sendable {
  case equal
  /// What others leave: the lowest weight of the processor scheduler, the idle class of the disk scheduler.
  case leftOver

  /// A thread of its own: without privileges nobody takes a nice value back, and Dispatch would hand the slow thread to
  /// the next one who asks.
  static func runOnOwnThread(_ name: String, _ group: DispatchGroup, _ work: @escaping @Sendable () -> Void) {
    group.enter()
    let thread = Thread {
      // A refusal costs courtesy alone, and both calls only ever ask for less.
      backupd_yield_to_others()
      work()
      group.leave()
    }
    thread.name = name
    thread.start()
  }
}
