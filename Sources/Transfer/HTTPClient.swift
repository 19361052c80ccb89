public import BlockingWork
internal import CCurl
import Synchronization

/// Talks to one HTTP server over connections that stay open, several requests at once, each on the thread that makes it.
public final class HTTPClient: Sendable {
  public struct Options: Sendable {
    /// Requests at once; more wait.
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

  private struct Pool {
    var idle: [CurlHandle] = []
    var busy = 0
  }
  private let options: Options
  private let pool = Mutex(Pool())
  private let freed = Signal()
  public let counters = TransferCounters()

  public init(_ options: Options = Options()) { self.options = options }

  /// Sends a request and waits for its whole response.
  /// - Parameters:
  ///   - body: Sent one after another.
  /// - Throws: ``TransferError``, `CancellationError`. A status that means failure is a response, not an error.
  public func send(
    _ request: HTTPRequest, body: [UnsafeRawBufferPointer] = [], into sink: HTTPSink = .collect(limit: 4 << 20),
    _ cancellation: Cancellation
  ) throws -> HTTPResponse {
    let exchange = Exchange(sending: body, into: sink)
    let bytes = exchange.length + (request.method == .get ? exchange.limit : 0)
    if let limit = options.limit, bytes > 64 << 10 { try limit.wait(for: bytes, cancellation) }
    let handle = try take(cancellation)
    defer { give(handle) }
    let headers = prepare(handle, request, exchange, bytes)
    defer { curl_slist_free_all(headers) }
    let (code, text) = try handle.perform(cancellation)
    counters.add {
      $0.requests += 1
      $0.sentBytes += handle.size(CURLINFO_SIZE_UPLOAD_T)
      $0.receivedBytes += handle.size(CURLINFO_SIZE_DOWNLOAD_T)
    }
    if code != CURLE_OK { throw error(code, text, request.host, exchange) }
    return HTTPResponse(
      status: exchange.status, headers: exchange.headers, body: exchange.body, received: exchange.received)
  }

  /// - Returns: The list of headers, to be freed after the transfer.
  private func prepare(
    _ handle: CurlHandle, _ request: HTTPRequest, _ exchange: Exchange, _ bytes: Int
  ) -> UnsafeMutablePointer<curl_slist>? {
    handle.reset()
    handle.set(CURLOPT_URL, request.url)
    handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
    handle.set(CURLOPT_PATH_AS_IS, 1)
    handle.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    handle.set(CURLOPT_USERAGENT, "backupd")
    if let file = options.certificateFile { handle.set(CURLOPT_CAINFO, file) }
    switch request.method {
    case .get: handle.set(CURLOPT_HTTPGET, 1)
    case .head: handle.set(CURLOPT_NOBODY, 1)
    case .put, .post:
      handle.set(CURLOPT_UPLOAD, 1)
      handle.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
      handle.set(CURLOPT_INFILESIZE_LARGE, size: Int64(exchange.length))
    case .delete: handle.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    }
    handle.set(CURLOPT_BUFFERSIZE, 512 << 10)
    handle.set(CURLOPT_UPLOAD_BUFFERSIZE, 1 << 20)
    setPatience(handle, bytes)
    handle.connect(exchange)
    var headers: UnsafeMutablePointer<curl_slist>?
    // No round trip to ask whether the body is welcome.
    for (name, value) in request.headers + [("Expect", "")] {
      headers = curl_slist_append(headers, value.isEmpty ? "\(name):" : "\(name): \(value)")
    }
    handle.set(CURLOPT_HTTPHEADER, headers)
    return headers
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

  private func error(_ code: CURLcode, _ text: String, _ host: String, _ exchange: Exchange) -> TransferError {
    if exchange.isTooLong { return .tooLong(host: host, limit: exchange.limit) }
    if code == CURLE_OPERATION_TIMEDOUT, exchange.status != 0 || text.contains("too slow") {
      return .tooSlow(host: host, floor: options.floor)
    }
    let lasting: [CURLcode] = [
      CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
      CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
    ]
    return .failed(host: host, reason: text + ".", isTransient: !lasting.contains(code))
  }

  /// A request is made again.
  public func addRetry() { counters.add { $0.retries += 1 } }

  // MARK: The pool

  private func take(_ cancellation: Cancellation) throws -> CurlHandle {
    let found = try freed.wait(cancellation) { () -> CurlHandle?? in
      pool.withLock { pool -> CurlHandle?? in
        if pool.busy >= options.connections { return nil }
        pool.busy += 1
        return .some(pool.idle.popLast())
      }
    }
    if let handle = found ?? nil { return handle }
    do {
      return try CurlHandle()
    } catch {
      pool.withLock { $0.busy -= 1 }
      throw error
    }
  }

  private func give(_ handle: CurlHandle) {
    pool.withLock {
      $0.busy -= 1
      $0.idle.append(handle)
    }
    freed.raise()
  }
}
