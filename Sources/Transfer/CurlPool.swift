internal import BlockingWork
internal import CCurl
internal import Synchronization

/// How transfers with one server behave.
public struct TransferOptions: Sendable {
  /// Transfers at once; more wait.
  public var connections = 8
  /// A file of certificates in PEM that are trusted instead of the system's.
  public var certificateFile: String?
  public var limit: BandwidthLimit?
  /// Bytes a second that a server must keep up, or counts as failed.
  public var floor = 4 << 10
  /// How long it may stay below.
  public var patience: Duration = .seconds(30)
  public init() {}

  /// Bytes a second that each transfer has to keep up: no more than its part of a line that all of them share.
  var pace: Int { min(floor, limit.map { max(1, $0.rate / connections) } ?? floor) }

  /// How long a transfer may have taken that has moved so many bytes. One that keeps the pace always comes to its end; one
  /// that keeps just above it for ever is cut off with the last byte that it was to move.
  func allowance(_ bytes: Int64) -> Duration { patience * 2 + .milliseconds(bytes * 1000 / Int64(pace)) }
}

/// Runs transfers with one server over connections that stay open, several at once, each on the thread that asks for it.
final class CurlPool: Sendable {
  let options: TransferOptions
  let counters = TransferCounters()
  private struct Handles {
    var idle: [CurlHandle] = []
    var busy = 0
  }
  private let handles = Mutex(Handles())
  private let freed = Signal()

  init(_ options: TransferOptions) { self.options = options }

  /// What is small waits for no bandwidth: leases are. It counts all the same.
  private static let small = 64 << 10

  /// - Parameters:
  ///   - bytes: As many as may go and come.
  ///   - announced: As many as are known to; nil for all of them.
  ///   - prepare: Sets what makes this transfer, in a handle that knows of none before it.
  ///   - finish: Makes a result of libcurl's, and of what it says of it.
  /// - Throws: ``TransferError``, `CancellationError`, what `finish` throws.
  func transfer<Result>(
    _ exchange: Exchange, bytes: Int, announced: Int? = nil, _ cancellation: Cancellation,
    prepare: (CurlHandle) -> Void,
    finish: (CurlHandle, CURLcode, String) throws -> Result
  ) throws -> Result {
    let held = announced ?? bytes
    let share = try options.limit?.begin(held > Self.small ? held : 0, cancellation)
    var moved: Int64 = 0
    defer { if let share { options.limit?.end(share, moved: moved) } }
    let handle = try take(cancellation)
    defer { give(handle) }
    handle.reset()
    // Of one that was cancelled, too.
    defer { moved = handle.moved }
    setPatience(handle, bytes)
    prepare(handle)
    handle.connect(exchange)
    let (code, text) = try handle.perform(cancellation, within: options.allowance)
    counters.add {
      $0.requests += max(1, exchange.sends)
      $0.retries += max(1, exchange.sends) - 1
      $0.sentBytes += handle.size(CURLINFO_SIZE_UPLOAD_T)
      $0.receivedBytes += handle.size(CURLINFO_SIZE_DOWNLOAD_T)
    }
    return try finish(handle, code, text)
  }

  private func setPatience(_ handle: CurlHandle, _ bytes: Int) {
    let patience = Int(options.patience.components.seconds)
    handle.set(CURLOPT_CONNECTTIMEOUT_MS, min(patience, 10) * 1000)
    handle.set(CURLOPT_LOW_SPEED_LIMIT, options.pace)
    handle.set(CURLOPT_LOW_SPEED_TIME, patience)
    handle.set(CURLOPT_TIMEOUT_MS, Int(options.allowance(Int64(bytes)).components.seconds + 1) * 1000)
    // What goes at once must not take seconds by the limit: libcurl waits them out afterwards, and they look like a stall.
    let most = options.limit.map { max(16 << 10, $0.rate) } ?? 1 << 20
    handle.set(CURLOPT_BUFFERSIZE, min(512 << 10, most))
    handle.set(CURLOPT_UPLOAD_BUFFERSIZE, min(1 << 20, most))
    if let limit = options.limit {
      handle.set(CURLOPT_MAX_SEND_SPEED_LARGE, size: Int64(limit.rate))
      handle.set(CURLOPT_MAX_RECV_SPEED_LARGE, size: Int64(limit.rate))
    }
  }

  /// What is wrong with a transfer that came to no answer.
  func failure(_ code: CURLcode, _ text: String, _ host: String, _ exchange: Exchange) -> TransferError {
    if exchange.isTooLong { return .tooLong(host: host, limit: exchange.limit) }
    if code == CURLE_OPERATION_TIMEDOUT, exchange.status != 0 || text.contains("too slow") {
      return .tooSlow(host: host, floor: options.pace, patience: options.patience)
    }
    let lasting: [CURLcode] = [
      CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
      CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
    ]
    return .failed(host: host, reason: text + ".", isTransient: !lasting.contains(code))
  }

  private func take(_ cancellation: Cancellation) throws -> CurlHandle {
    let found = try freed.wait(cancellation) { () -> CurlHandle?? in
      handles.withLock { handles -> CurlHandle?? in
        if handles.busy >= options.connections { return nil }
        handles.busy += 1
        return .some(handles.idle.popLast())
      }
    }
    if let handle = found ?? nil { return handle }
    do {
      return try CurlHandle()
    } catch {
      handles.withLock { $0.busy -= 1 }
      throw error
    }
  }

  private func give(_ handle: CurlHandle) {
    handles.withLock {
      $0.busy -= 1
      $0.idle.append(handle)
    }
    freed.raise()
  }
}
