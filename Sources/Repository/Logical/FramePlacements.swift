internal import BackupModel
internal import BlockingWork
import Synchronization

/// Where the new frames of the part that one cutter is cutting went.
final class FramePlacements: Sendable {
  typealias Place = (pack: PackID, location: FrameLocation)

  private let places = Mutex<[UInt32: Place]>([:])
  private let changed = Signal()

  func note(_ number: UInt32, _ place: Place) {
    places.withLock { $0[number] = place }
    changed.raise()
  }

  /// All of them by their numbers in the part, once so many are sealed; the next part begins with none.
  /// - Throws: `CancellationError`.
  func take(_ count: Int, _ cancellation: Cancellation) throws -> [UInt32: Place] {
    let all = try changed.wait(cancellation) {
      places.withLock { places -> [UInt32: Place]? in
        guard places.count == count else { return nil }
        defer { places = [:] }
        return places
      }
    }
    return all ?? [:]
  }
}
