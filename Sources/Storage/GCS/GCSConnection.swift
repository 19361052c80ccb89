internal import BackupModel
internal import BlockingWork
internal import Transfer

/// Sends requests for one bucket with a token, and sends them again where that can help.
final class GCSConnection: Sendable {
  let settings: GCSSettings
  let client: HTTPClient
  private let credentials: GCPCredentials
  private let health = ServerHealth()

  init(_ settings: GCSSettings, _ credentials: GCPCredentials, _ options: HTTPClient.Options) {
    self.settings = settings
    self.credentials = credentials
    client = HTTPClient(options)
  }

  struct Call {
    var method: HTTPRequest.Method
    /// Without its query.
    var url: String
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body: [UnsafeRawBufferPointer] = []
    var sink = HTTPSink.collect(limit: 32 << 20)
    /// Statuses that are an answer and not an error.
    var accepted: Set<Int> = []
  }

  /// - Parameters:
  ///   - again: Told before each further attempt.
  ///   - read: Makes an answer of a response that succeeded or was accepted; nil where it is broken, which counts as a
  ///     failed attempt.
  /// - Throws: ``GCSError``, ``TransferError``, ``GCPCredentialError``, `CancellationError`.
  func send<Answer>(
    _ call: Call, _ retries: RetrySchedule, _ cancellation: Cancellation, again: () -> Void = {},
    _ read: (HTTPResponse) -> Answer?
  ) throws -> Answer {
    var isRenewed = false
    func advice(_ error: any Error) -> RetrySchedule.Advice {
      guard (error as? GCSError)?.status == 401, !isRenewed else { return RetrySchedule.Advice(error) }
      // The token may have been revoked before its end: a new one is worth one attempt.
      isRenewed = true
      credentials.forget()
      return .again(after: nil)
    }
    return try health.asking(retries) { retries in
      try retries.run(cancellation, advice: advice) { attempt in
        if attempt > 0 {
          client.addRetry()
          again()
        }
        let response = try once(call, cancellation)
        if response.sends > 1 { again() }
        let error = GCSError(response, bucket: settings.bucket)
        guard response.isSuccess || call.accepted.contains(response.status), !error.isBucketMissing,
          let answer = read(response)
        else { throw error }
        return answer
      }
    }
  }

  private func once(_ call: Call, _ cancellation: Cancellation) throws -> HTTPResponse {
    var headers = call.headers
    if let token = try credentials.token(cancellation) { headers.append(token.header) }
    let query = PercentEncoding.query(call.query)
    let url = call.url + (query.isEmpty ? "" : "?" + query)
    return try client.send(
      HTTPRequest(call.method, url, headers: headers), body: call.body, into: call.sink, cancellation)
  }
}
