#if canImport(Glibc)
  import Glibc
#endif

/// `archive_command`: asks the daemon to take a file, and says when it is durable.
///
/// Any failure is 1: PostgreSQL keeps the file and asks again. Never more than 125, which would end its archiver process.
/// - SeeAlso: PostgreSQL source, `shell_archive.c`, `shell_archive_file`.
enum Push {
  static let standardSocket = "/run/backupd/control.sock"
  private static let failed: CInt = 1
  /// The daemon answers when the file is durable, which may take as long as a store does.
  private static let patience = 120

  static func run(_ arguments: ArraySlice<String>) -> CInt {
    guard let given = Arguments(arguments, known: ["--cluster", "--socket"], words: 1) else {
      tell(usage + "\n")
      return failed
    }
    guard let cluster = given.options["--cluster"] else {
      complain("\"--cluster\" is missing")
      tell(usage + "\n")
      return failed
    }
    guard let path = absolute(given.words[0]) else {
      complain("could not find the working directory", detail: systemReason())
      return failed
    }
    let socket = given.options["--socket"] ?? getenv("BACKUPD_SOCKET").map { String(cString: $0) } ?? standardSocket
    guard let connection = connect(socket) else {
      let reason = systemReason()
      complain(
        "could not reach backupd at \"\(socket)\" to archive \"\(path)\"", detail: reason,
        hint: "Start it with \"systemctl start backupd\", or name its socket with --socket. PostgreSQL keeps the file.")
      return failed
    }
    defer { close(connection) }
    let call =
      #"{"method":"io.backupd.Control.PushWAL","parameters":{"cluster":"\#(JSONText.escape(cluster))","path":"\#(JSONText.escape(path))"}}"#
    guard send(Array(call.utf8) + [0], to: connection), let reply = receive(from: connection) else {
      let reason = errno == EAGAIN ? "It did not answer for \(patience) s." : systemReason()
      complain(
        "could not archive \"\(path)\"", detail: "The exchange with backupd failed: \(reason)",
        hint: "PostgreSQL keeps the file and asks again; see \"journalctl -u backupd\".")
      return failed
    }
    guard let error = JSONText.string("error", in: reply) else {
      // An answer without an error, and nothing else, says that the file is durable.
      if reply.first == UInt8(ascii: "{"), reply.last == UInt8(ascii: "}") { return 0 }
      complain("could not archive \"\(path)\"", detail: "backupd gave an answer that is none.")
      return failed
    }
    complain(
      JSONText.string("summary", in: reply) ?? "could not archive \"\(path)\"",
      detail: JSONText.string("detail", in: reply) ?? error, hint: JSONText.string("hint", in: reply))
    return failed
  }

  private static func absolute(_ path: String) -> String? {
    if path.hasPrefix("/") { return path }
    guard let directory = getcwd(nil, 0) else { return nil }
    defer { free(directory) }
    return String(cString: directory) + "/" + path
  }

  /// - Returns: Nil with `errno` set where nobody answers.
  private static func connect(_ path: String) -> CInt? {
    var address = sockaddr_un()
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      errno = ENAMETOOLONG
      return nil
    }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var limit = timeval(tv_sec: patience, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0 else {
      let reason = errno
      close(descriptor)
      errno = reason
      return nil
    }
    return descriptor
  }

  private static func send(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, CInt(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return false }
      sent += count
    }
    return true
  }

  /// One message without the byte that ends it; nil with `errno` set where there is none.
  private static func receive(from descriptor: CInt) -> [UInt8]? {
    var message: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while message.count < 1 << 20 {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      if count == 0 { errno = ECONNRESET }
      if count <= 0 { return nil }
      message += piece[..<count]
      if message.last == 0 { return message.dropLast() }
    }
    errno = EMSGSIZE
    return nil
  }
}

/// As much of JSON as one call and its answer need.
enum JSONText {
  static func escape(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// The first string value of a key, wherever in the document it is: names do not repeat in an answer of the daemon.
  static func string(_ key: String, in document: [UInt8]) -> String? {
    let text = String(decoding: document, as: UTF8.self)
    guard let name = text.firstRange(of: "\"\(key)\"") else { return nil }
    var rest = text[name.upperBound...].drop { $0 == " " || $0 == ":" || $0 == "\n" }
    guard rest.popFirst() == "\"" else { return nil }
    var result = ""
    while let character = rest.popFirst(), character != "\"" {
      guard character == "\\" else {
        result.append(character)
        continue
      }
      switch rest.popFirst() {
      case "n": result += "\n"
      case "t": result += "\t"
      case "u":
        let digits = rest.prefix(4)
        rest = rest.dropFirst(4)
        result.unicodeScalars.append(UInt32(digits, radix: 16).flatMap(Unicode.Scalar.init) ?? "?")
      case let other?: result.append(other)
      case nil: break
      }
    }
    return result
  }
}
