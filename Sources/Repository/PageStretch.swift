import Synchronization

/// Neighbouring pages of a file that lie scattered over frames. Whoever brings the last of them writes all at once:
/// page by page, a system call and the file's lock for each take longer than to open the frames.
public final class PageStretch: Sendable {
  public let firstPage: UInt32
  public let count: UInt32
  private struct State {
    var room: StretchRooms.Room?
    var missing: UInt32
  }
  private let state: Mutex<State>

  /// - Parameter runs: Neighbours; a frame's pages at most.
  init(_ runs: ArraySlice<PageMap.Run>) {
    firstPage = runs.first?.firstPage ?? 0
    count = runs.reduce(0) { $0 + $1.count }
    state = Mutex(State(missing: count))
  }

  /// Keeps a copy of some of the pages.
  /// - Returns: The room that holds all of them, for the caller to give back, where these were the last.
  public func add(
    _ bytes: UnsafeRawBufferPointer, firstPage: UInt32, count: UInt32, in rooms: StretchRooms
  ) -> StretchRooms.Room? {
    let room = state.withLock { state in
      let room = state.room ?? rooms.take()
      state.room = room
      return room
    }
    let offset = Int(firstPage - self.firstPage) * SealedFormat.slotSize
    UnsafeMutableRawBufferPointer(rebasing: room.bytes[offset...]).copyMemory(from: bytes)
    return state.withLock { state in
      state.missing -= count
      return state.missing == 0 ? state.room.take() : nil
    }
  }
}

/// Memory for stretches of pages, used again and again. What a restore that failed did not give back goes with it.
public final class StretchRooms: Sendable {
  /// - Note: `@unchecked Sendable`: parts of it that do not overlap are written by several threads, and it is read once
  ///   all have written (``PageStretch``).
  public struct Room: @unchecked Sendable {
    public let bytes: UnsafeMutableRawBufferPointer
  }
  private struct State {
    var all: [Room] = []
    var free: [Room] = []
  }
  private let state = Mutex(State())

  public init() {}
  deinit {
    state.withLock { for room in $0.all { room.bytes.deallocate() } }
  }

  func take() -> Room {
    state.withLock { state in
      if let room = state.free.popLast() { return room }
      let room = Room(bytes: .allocate(byteCount: SealedFormat.maximumFrame, alignment: 4096))
      state.all.append(room)
      return room
    }
  }

  public func giveBack(_ room: Room) { state.withLock { $0.free.append(room) } }
}
