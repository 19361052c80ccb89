internal import BlockingWork
internal import CCurl

#if canImport(Glibc)
  import Glibc
#endif

/// One transfer at a time over connections that stay open. Used by one thread at a time.
///
/// - Note: `@unchecked Sendable`: handed from thread to thread through a pool, never used by two at once; only
///   `curl_multi_wakeup` is called from others, which libcurl allows (curl_multi_wakeup(3)).
final class CurlHandle: @unchecked Sendable {
  private static let initialized: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
  private static let errorSize = 256

  let easy: OpaquePointer
  private let multi: OpaquePointer
  private let errorText: UnsafeMutablePointer<CChar>
  /// The socket opened last, -1 once it is closed.
  private let socket: UnsafeMutablePointer<CInt>
  /// What libcurl reads while the transfer runs, and does not copy.
  private var lists: [UnsafeMutablePointer<curl_slist>] = []

  init() throws(TransferError) {
    guard Self.initialized, let easy = Self.makeEasy(), let multi = curl_multi_init() else {
      throw .failed(host: "", reason: "libcurl cannot be set up: no memory.", isTransient: true)
    }
    self.easy = easy
    self.multi = OpaquePointer(multi)
    socket = .allocate(capacity: 1)
    socket.initialize(to: -1)
    errorText = .allocate(capacity: Self.errorSize)
    errorText.initialize(repeating: 0, count: Self.errorSize)
  }
  private static func makeEasy() -> OpaquePointer? { curl_easy_init().map { OpaquePointer($0) } }

  deinit {
    curl_easy_cleanup(handle)
    curl_multi_cleanup(UnsafeMutableRawPointer(multi))
    socket.deallocate()
    errorText.deallocate()
    freeLists()
  }
  private func freeLists() {
    for list in lists { curl_slist_free_all(list) }
    lists = []
  }

  private var handle: UnsafeMutableRawPointer { UnsafeMutableRawPointer(easy) }

  /// Forgets the options of the transfer before; connections stay.
  func reset() {
    curl_easy_reset(handle)
    freeLists()
    errorText[0] = 0
    set(CURLOPT_NOSIGNAL, 1)
    _ = backupd_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
    backupd_curl_note_socket(handle, socket)
  }
  func set(_ option: CURLoption, _ value: Int) { _ = backupd_curl_set_long(handle, option, value) }
  func set(_ option: CURLoption, size: Int64) { _ = backupd_curl_set_size(handle, option, curl_off_t(size)) }
  func set(_ option: CURLoption, _ value: String) { _ = backupd_curl_set_text(handle, option, value) }
  func set(_ option: CURLoption, _ lines: [String]) {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines { list = curl_slist_append(list, line) }
    guard let list else { return }
    lists.append(list)
    _ = backupd_curl_set_list(handle, option, list)
  }

  func long(_ info: CURLINFO) -> Int {
    var value = 0
    _ = backupd_curl_get_long(handle, info, &value)
    return value
  }
  func size(_ info: CURLINFO) -> Int64 {
    var value: curl_off_t = 0
    _ = backupd_curl_get_size(handle, info, &value)
    return Int64(value)
  }
  /// Bytes that went and came so far.
  var moved: Int64 { size(CURLINFO_SIZE_UPLOAD_T) + size(CURLINFO_SIZE_DOWNLOAD_T) }

  /// What is sent and what is received goes through `exchange`.
  func connect(_ exchange: Exchange) {
    let context = Unmanaged.passUnretained(exchange).toOpaque()
    for (function, data, body) in [
      (CURLOPT_WRITEFUNCTION, CURLOPT_WRITEDATA, Exchange.write),
      (CURLOPT_READFUNCTION, CURLOPT_READDATA, Exchange.read),
      (CURLOPT_HEADERFUNCTION, CURLOPT_HEADERDATA, Exchange.header),
    ] {
      _ = backupd_curl_set_transfer(handle, function, body)
      _ = backupd_curl_set_pointer(handle, data, context)
    }
    _ = backupd_curl_set_seek(handle, Exchange.seek)
    _ = backupd_curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
    _ = backupd_curl_set_prerequest(handle, Exchange.begin)
    _ = backupd_curl_set_pointer(handle, CURLOPT_PREREQDATA, context)
  }

  /// Runs the transfer to its end.
  /// - Parameter allowance: How long one may have taken that has moved so many bytes.
  /// - Returns: libcurl's result, and its words for it.
  /// - Throws: `CancellationError`, within a millisecond.
  func perform(
    _ cancellation: Cancellation, within allowance: (_ moved: Int64) -> Duration
  ) throws -> (CURLcode, String) {
    let begin = ContinuousClock.now
    let multi = UnsafeMutableRawPointer(self.multi)
    let number = cancellation.addHandler { [self] in curl_multi_wakeup(UnsafeMutableRawPointer(self.multi)) }
    defer { cancellation.removeHandler(number) }
    curl_multi_add_handle(multi, handle)
    defer { curl_multi_remove_handle(multi, handle) }
    var running: CInt = 1
    while true {
      try cancellation.check()
      curl_multi_perform(multi, &running)
      let result = backupd_curl_result(multi)
      if result >= 0 {
        let code = CURLcode(rawValue: UInt32(result))
        let text = String(cString: errorText)
        return (code, text.isEmpty ? String(cString: curl_easy_strerror(code)) : text)
      }
      // libcurl watches the speed only while a body is on its way: an SFTP server can stall before.
      if ContinuousClock.now - begin > allowance(moved) { return (CURLE_OPERATION_TIMEDOUT, "The server is too slow") }
      // A server that sends an answer in several pieces without TCP_NODELAY waits with each for word of the one before.
      if socket.pointee >= 0 { backupd_curl_acknowledge(socket.pointee) }
      curl_multi_poll(multi, nil, 0, 1000, nil)
    }
  }
}

/// The bytes of one transfer in both directions. Lives as long as the transfer.
final class Exchange {
  private let segments: [UnsafeRawBufferPointer]
  private var segment = 0
  private var offset = 0
  private let sink: HTTPSink
  private(set) var status = 0
  private(set) var headers: [String: String] = [:]
  private(set) var body: [UInt8] = []
  private(set) var received = 0
  private(set) var isTooLong = false
  /// How often it was sent: libcurl itself sends once more what was lost with a connection that had been idle.
  private(set) var sends = 0
  /// A protocol without statuses: all that comes goes into the sink.
  private let isPlain: Bool
  /// Of a protocol of lines, such as SMTP, the last line of each reply.
  private(set) var replies: [String] = []

  init(sending segments: [UnsafeRawBufferPointer], into sink: HTTPSink, isPlain: Bool = false) {
    self.segments = segments
    self.sink = sink
    self.isPlain = isPlain
  }

  var length: Int { segments.reduce(0) { $0 + $1.count } }
  var limit: Int {
    switch sink {
    case .collect(let limit): limit
    case .memory(let memory): memory.count
    }
  }

  /// What will come, where that is known.
  var announced: Int {
    if case .memory(let memory) = sink { memory.count } else { 0 }
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> Exchange {
    Unmanaged<Exchange>.fromOpaque(context!).takeUnretainedValue()
  }

  static let write: backupd_curl_transfer = { data, size, count, context in
    Exchange.of(context).take(UnsafeRawBufferPointer(start: data, count: size * count))
  }
  static let read: backupd_curl_transfer = { data, size, count, context in
    Exchange.of(context).give(UnsafeMutableRawBufferPointer(start: data, count: size * count))
  }
  static let header: backupd_curl_transfer = { data, size, count, context in
    Exchange.of(context).takeHeader(UnsafeRawBufferPointer(start: data, count: size * count))
    return size * count
  }
  static let begin: backupd_curl_prerequest = { context, _, _, _, _ in
    Exchange.of(context).sends += 1
    return CURL_PREREQFUNC_OK
  }
  static let seek: backupd_curl_seek = { context, offset, origin in
    let exchange = Exchange.of(context)
    // libcurl only ever goes back to the beginning, to send once more on a new connection. What a protocol without answers
    // has done by then nobody would learn: that is for those who can look.
    guard offset == 0, origin == SEEK_SET, !exchange.isPlain else { return CURL_SEEKFUNC_FAIL }
    exchange.segment = 0
    exchange.offset = 0
    return CURL_SEEKFUNC_OK
  }

  private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    let isWanted = isPlain || (200..<300).contains(status)
    if isWanted, case .memory(let memory) = sink {
      guard received + bytes.count <= memory.count else {
        isTooLong = true
        return 0
      }
      UnsafeMutableRawBufferPointer(rebasing: memory[received...]).copyMemory(from: bytes)
      received += bytes.count
      return bytes.count
    }
    let limit = isWanted ? self.limit : 64 << 10
    guard body.count + bytes.count <= limit else {
      // What an error says at length is of no interest.
      if !isWanted { return bytes.count }
      isTooLong = true
      return 0
    }
    body.append(contentsOf: bytes)
    return bytes.count
  }

  private func give(_ room: UnsafeMutableRawBufferPointer) -> Int {
    while segment < segments.count, offset == segments[segment].count {
      segment += 1
      offset = 0
    }
    guard segment < segments.count else { return 0 }
    let count = min(room.count, segments[segment].count - offset)
    room.copyMemory(from: UnsafeRawBufferPointer(rebasing: segments[segment][offset..<(offset + count)]))
    offset += count
    return count
  }

  private func takeHeader(_ bytes: UnsafeRawBufferPointer) {
    let line = String(decoding: bytes, as: UTF8.self)
    if isPlain {
      // "250-SIZE" goes on, "250 HELP" ends the reply (RFC 5321, 4.2.1).
      let text = line.prefix { !$0.isNewline }
      if text.count < 4 || text[text.index(text.startIndex, offsetBy: 3)] == " " { replies.append(String(text)) }
    } else if line.hasPrefix("HTTP/") {
      // A new response begins: after "100 Continue", or on a new connection.
      status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      headers = [:]
      body = []
      received = 0
    } else if let colon = line.firstIndex(of: ":") {
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      headers[line[..<colon].lowercased()] = String(value.prefix { !$0.isNewline })
    }
  }
}
