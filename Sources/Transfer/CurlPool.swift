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
    if let limit = options.limit, held > 64 << 10 { try limit.wait(for: held, cancellation) }
    let handle = try take(cancellation)
    defer { give(handle) }
    handle.reset()
    handle.set(CURLOPT_BUFFERSIZE, 512 << 10)
    handle.set(CURLOPT_UPLOAD_BUFFERSIZE, 1 << 20)
    setPatience(handle, bytes)
    prepare(handle)
    handle.connect(exchange)
    let (code, text) = try handle.perform(cancellation)
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
    handle.set(CURLOPT_LOW_SPEED_LIMIT, options.floor)
    handle.set(CURLOPT_LOW_SPEED_TIME, patience)
    // A server that keeps just above the floor for ever is cut off here.
    handle.set(CURLOPT_TIMEOUT_MS, (patience * 2 + bytes / (options.floor * 16)) * 1000)
    if let limit = options.limit {
      handle.set(CURLOPT_MAX_SEND_SPEED_LARGE, size: Int64(limit.rate))
      handle.set(CURLOPT_MAX_RECV_SPEED_LARGE, size: Int64(limit.rate))
    }
  }

  /// What is wrong with a transfer that came to no answer.
  func failure(_ code: CURLcode, _ text: String, _ host: String, _ exchange: Exchange) -> TransferError {
    if exchange.isTooLong { return .tooLong(host: host, limit: exchange.limit) }
    if code == CURLE_OPERATION_TIMEDOUT, exchange.status != 0 || text.contains("too slow") {
      return .tooSlow(host: host, floor: options.floor, patience: options.patience)
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
