internal import BackupModel
internal import Transfer

/// What Google Cloud Storage answered instead of doing it.
struct GCSError: RemoteError {
  var status: Int
  /// `forbidden` and its like; nil where it did not say.
  var reason: String?
  var message: String?
  private var bucket: String
  var retryAfter: Duration?

  init(_ response: HTTPResponse, bucket: String) {
    status = response.status
    self.bucket = bucket
    retryAfter = response.retryAfter
    if response.isSuccess {
      message = "The answer is not what was asked for."
    } else if let refusal = GCSDocument.parse(GCSRefusal.self, response.body)?.error {
      message = refusal.message
      reason = refusal.errors?.first?.reason
    } else if !response.body.isEmpty {
      // What is asked for as media is refused in plain text.
      let line = String(decoding: response.body, as: UTF8.self).prefix { !$0.isNewline }
      if !line.hasPrefix("<") { message = String(line.prefix(200)) }
    }
  }

  /// The bucket, and not the object, is not there.
  var isBucketMissing: Bool { status == 404 && message?.contains("bucket does not exist") == true }

  /// - SeeAlso: Google, "Cloud Storage: Retry strategy".
  var isTransient: Bool {
    switch status {
    // What came on the way was broken.
    case 200..<300: true
    case 408, 429, 500...599: true
    default: false
    }
  }

  var summary: String { "the server answered \(status)" + (reason.map { " (\($0))" } ?? "") }
  var detail: String? { message }
  var hint: String? {
    switch status {
    case 401: "Check the store's credentials: the server does not know who asks."
    case 403:
      "Let the store's account create, get, list and delete objects of bucket \"\(bucket)\", and see that the bucket's "
        + "retention does not forbid it."
    case 404: "Make bucket \"\(bucket)\", or name another."
    case 500...599: "The server is in trouble; what was not stored is tried again."
    default: nil
    }
  }
}
