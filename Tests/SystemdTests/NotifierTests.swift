import Systemd
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// The service manager's end: a datagram socket.
final class DatagramSocket {
  private let descriptor: CInt
  private let path: String

  /// - Parameter path: `@name` is in the abstract namespace.
  init(path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
    try #require(descriptor >= 0)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    if bytes[0] == 0x40 { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(2 + bytes.count + (bytes[0] == 0 ? 0 : 1))
    let bound = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    try #require(bound == 0)
  }

  deinit { close(descriptor) }

  /// The next message that is there; nil where none is.
  func receive() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }
}

@Suite("The service manager") struct NotifierTests {
  @Test("is told what the daemon does")
  func messages() throws {
    try TemporaryDirectory.run { directory in
      let socket = try DatagramSocket(path: directory + "/notify")
      let notifier = Notifier(environment: ["NOTIFY_SOCKET": directory + "/notify"])
      #expect(notifier.isActive)
      notifier.ready(status: "3 jobs")
      #expect(socket.receive() == "READY=1\nSTATUS=3 jobs")
      notifier.status("two\nlines")
      #expect(socket.receive() == "STATUS=two lines")
      notifier.watchdog()
      #expect(socket.receive() == "WATCHDOG=1")
      notifier.reloading()
      let reloading = try #require(socket.receive())
      #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
      #expect(Int64(reloading.split(separator: "=").last ?? "").map { $0 > 0 } == true)
      notifier.extendTimeout(by: .seconds(5))
      #expect(socket.receive() == "EXTEND_TIMEOUT_USEC=5000000")
      notifier.stopping(status: "2 runs to end")
      #expect(socket.receive() == "STOPPING=1\nSTATUS=2 runs to end")
      #expect(socket.receive() == nil)
    }
  }

  @Test("is found in the abstract namespace")
  func abstractName() throws {
    let name = "@backupd-test-\(UInt64.random(in: 0 ... .max))"
    let socket = try DatagramSocket(path: name)
    Notifier(environment: ["NOTIFY_SOCKET": name]).ready(status: "")
    #expect(socket.receive() == "READY=1\nSTATUS=")
  }

  @Test("that does not read never blocks the daemon: a status is dropped, a change of state kept")
  func fullQueue() throws {
    try TemporaryDirectory.run { directory in
      let socket = try DatagramSocket(path: directory + "/notify")
      let notifier = Notifier(environment: ["NOTIFY_SOCKET": directory + "/notify"])
      for number in 0..<5000 { notifier.status("\(number)") }
      notifier.stopping(status: "bye")
      var last = ""
      while let message = socket.receive() { last = message }
      #expect(last.hasPrefix("STATUS=") && last != "STATUS=4999")
      notifier.watchdog()
      #expect(socket.receive() == "STOPPING=1\nSTATUS=bye")
      #expect(socket.receive() == "WATCHDOG=1")
    }
  }

  @Test(
    "is not asked for where there is none",
    arguments: ["", "relative", "/nonexistent/notify", "/" + String(repeating: "x", count: 200)])
  func absent(path: String) {
    let notifier = Notifier(environment: ["NOTIFY_SOCKET": path])
    notifier.ready(status: "alone")
    notifier.watchdog()
    #expect(!Notifier(environment: [:]).isActive)
  }

  @Test("says how often it wants to hear")
  func watchdogInterval() {
    func interval(_ environment: [String: String]) -> Duration? { Notifier(environment: environment).watchdogInterval }
    #expect(interval(["WATCHDOG_USEC": "30000000"]) == .seconds(30))
    #expect(interval(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "\(getpid())"]) == .seconds(30))
    #expect(interval(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"]) == nil)
    for text in ["", "0", "-5", "soon"] { #expect(interval(["WATCHDOG_USEC": text]) == nil) }
  }
}

@Suite("Credentials") struct CredentialsTests {
  @Test("come from the command line, then the service manager, then the host's store")
  func order() throws {
    try TemporaryDirectory.run { directory in
      for part in ["unit", "store"] { mkdir("\(directory)/\(part)", 0o700) }
      func write(_ path: String, _ text: String) throws {
        let file = try #require(fopen("\(directory)/\(path)", "w"))
        fputs(text, file)
        fclose(file)
      }
      try write("store/token", "from the store\n")
      let environment = ["CREDENTIALS_DIRECTORY": directory + "/unit"]
      func read(_ overrides: [String: String] = [:]) throws -> String {
        try Credentials(environment: environment, overrides: overrides, storeDirectory: directory + "/store")
          .read("token").revealText()
      }
      #expect(try read() == "from the store\n")
      try write("unit/token", "from the unit")
      #expect(try read() == "from the unit")
      try write("given", "given")
      #expect(try read(["token": directory + "/given"]) == "given")
      #expect(throws: SystemdError.self) { try read(["token": directory + "/missing"]) }
    }
  }

  @Test(
    "that are missing or have no file name are refused by name",
    arguments: ["absent", "", ".", "..", "../etc/passwd", "a/b", "a\0b"])
  func refused(name: String) {
    let credentials = Credentials(environment: [:], storeDirectory: "/nonexistent")
    #expect {
      _ = try credentials.read(name)
    } throws: { error in
      switch error as? SystemdError {
      case .credentialMissing("absent", let searched): name == "absent" && searched == ["/nonexistent/absent"]
      case .credentialNameInvalid(name): name != "absent"
      default: false
      }
    }
  }
}
