public import BlockingWork
internal import CCurl

/// Talks to one HTTP server over connections that stay open, several requests at once, each on the thread that makes it.
public final class HTTPClient: Sendable {
  public typealias Options = TransferOptions

  private let pool: CurlPool
  public var counters: TransferCounters { pool.counters }
  /// Requests at once.
  public var connections: Int { pool.options.connections }

  public init(_ options: Options = Options()) { pool = CurlPool(options) }

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
    // How long a listing will be nobody knows before it is there.
    let announced = exchange.length + (request.method == .get ? exchange.announced : 0)
    return try pool.transfer(exchange, bytes: bytes, announced: announced, cancellation) { handle in
      prepare(handle, request, exchange)
    } finish: { _, code, text in
      if code != CURLE_OK { throw pool.failure(code, text, request.host, exchange) }
      return HTTPResponse(
        status: exchange.status, headers: exchange.headers, body: exchange.body, received: exchange.received,
        sends: exchange.sends)
    }
  }

  private func prepare(_ handle: CurlHandle, _ request: HTTPRequest, _ exchange: Exchange) {
    handle.set(CURLOPT_URL, request.url)
    handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
    handle.set(CURLOPT_PATH_AS_IS, 1)
    handle.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    handle.set(CURLOPT_USERAGENT, "backupd")
    if let file = pool.options.certificateFile { handle.set(CURLOPT_CAINFO, file) }
    switch request.method {
    case .get: handle.set(CURLOPT_HTTPGET, 1)
    case .head: handle.set(CURLOPT_NOBODY, 1)
    case .put, .post:
      handle.set(CURLOPT_UPLOAD, 1)
      handle.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
      handle.set(CURLOPT_INFILESIZE_LARGE, size: Int64(exchange.length))
    case .delete: handle.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    }
    // No round trip to ask whether the body is welcome.
    let headers = request.headers + [("Expect", "")]
    handle.set(
      CURLOPT_HTTPHEADER, headers.map { $0.value.isEmpty ? "\($0.name):" : "\($0.name): \($0.value)" })
  }

  /// A request is made again.
  public func addRetry() { pool.counters.add { $0.retries += 1 } }
}
