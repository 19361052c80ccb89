/// What is asked of an HTTP server. Bodies are given beside it: they are borrowed, and sent again where that is needed.
public struct HTTPRequest: Sendable {
  public enum Method: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case put = "PUT"
    case post = "POST"
    case delete = "DELETE"
  }
  public var method: Method
  /// Encoded as it is to be sent.
  public var url: String
  public var headers: [(name: String, value: String)]

  public init(_ method: Method, _ url: String, headers: [(name: String, value: String)] = []) {
    self.method = method
    self.url = url
    self.headers = headers
  }

  /// For messages: never the path or the query, which may say more than is good in a log.
  var host: String {
    let rest = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
    return String(rest.prefix { $0 != "/" && $0 != "?" })
  }
}

public struct HTTPResponse: Sendable {
  public var status: Int
  /// Names in lower case.
  public var headers: [String: String]
  /// The body; empty where it went into the caller's memory.
  public var body: [UInt8]
  /// Bytes that went into the caller's memory.
  public var received: Int
  /// How often the request was sent: more than once where the connection was lost before an answer began. The server may
  /// have done what it was asked each time.
  public var sends = 1
  public var isSuccess: Bool { (200..<300).contains(status) }
  /// What the server says of when to come back; nil where it does not, or by a date.
  public var retryAfter: Duration? {
    headers["retry-after"].flatMap { Int($0) }.map { .seconds(max(0, min($0, 86400))) }
  }
}

/// Where the body of a successful response goes. That of any other is collected, up to 64 KiB.
public enum HTTPSink {
  case collect(limit: Int)
  /// Filled from its beginning.
  case memory(UnsafeMutableRawBufferPointer)
}
