#if canImport(Glibc)
  import Glibc
#endif

/// A bounded queue between threads that may block: what makes memory workers x buffers and no more.
///
/// - Note: `@unchecked Sendable`: every access to the fields happens while `mutex` is held (POSIX, "Memory
///   Synchronization": `pthread_mutex_lock` and `_unlock` synchronise memory between threads).
public final class BoundedRing<Element: Sendable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var items: [Element?] = []
  private var head = 0
  private let capacity: Int
  private var isClosed = false
  private var isAborted = false

  public init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Waits for room.
  /// - Throws: `CancellationError` once aborted.
  public func push(_ item: Element) throws {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while items.count - head >= capacity && !isAborted { pthread_cond_wait(changed, mutex) }
    if isAborted { throw CancellationError() }
    precondition(!isClosed, "pushed into a closed ring")
    items.append(item)
    pthread_cond_broadcast(changed)
  }

  /// Waits for an item; nil once closed and empty.
  /// - Throws: `CancellationError` once aborted.
  public func pop() throws -> Element? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while items.count == head && !isClosed && !isAborted { pthread_cond_wait(changed, mutex) }
    if isAborted { throw CancellationError() }
    if items.count == head { return nil }
    let item = items[head]
    // What has been handed out is not kept alive until the next tidying.
    items[head] = nil
    head += 1
    if head == items.count || head >= 64 {
      items.removeFirst(head)
      head = 0
    }
    pthread_cond_broadcast(changed)
    return item
  }

  /// No more items will come: `pop` drains what is there, then returns nil.
  public func close() {
    pthread_mutex_lock(mutex)
    isClosed = true
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  /// Everyone leaves now: every waiting and later call throws.
  public func abort() {
    pthread_mutex_lock(mutex)
    isAborted = true
    items = []
    head = 0
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}
