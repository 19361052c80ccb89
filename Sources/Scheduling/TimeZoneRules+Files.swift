internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

extension TimeZoneRules {
  /// The zone of this name: `UTC` without any file, otherwise from the system's zone files.
  /// - Throws: ``SchedulingError/zoneUnknown(name:)``, or ``SchedulingError/zoneInvalid(name:problem:)`` where its file
  ///   is damaged.
  public init(named name: String, directory: String = "/usr/share/zoneinfo") throws(SchedulingError) {
    if name == "UTC" || name == "Etc/UTC" {
      self = TimeZoneRules(name: name, transitions: [], initialOffset: 0, footer: nil)
      return
    }
    let isName = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || "+-_/".utf8.contains($0)
    }
    guard isName, (1...64).contains(name.utf8.count), name.first != "/",
      let bytes = Self.read(directory + "/" + name)
    else { throw .zoneUnknown(name: name) }
    try self.init(name: name, tzif: bytes)
  }

  /// A `TZ` rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
  /// - Throws: ``SchedulingError/zoneInvalid(name:problem:)`` for another form.
  public init(posix rule: String) throws(SchedulingError) {
    guard let footer = PosixZone(rule) else {
      throw .zoneInvalid(name: rule, problem: "It is not a TZ rule.")
    }
    self.init(name: rule, transitions: [], initialOffset: footer.standardOffset, footer: footer)
  }

  /// The host's zone: what `TZ` says (a name, a path or a rule), otherwise `/etc/localtime`, otherwise UTC.
  /// - Throws: ``SchedulingError`` where one of them is there and cannot be used.
  public static func local() throws(SchedulingError) -> TimeZoneRules {
    try local(tz: getenv("TZ").map { String(cString: $0) }, localtime: "/etc/localtime")
  }

  static func local(tz: String?, localtime: String) throws(SchedulingError) -> TimeZoneRules {
    if let tz {
      let text = tz.hasPrefix(":") ? String(tz.dropFirst()) : tz
      if text.isEmpty { return .utc }
      if text.hasPrefix("/") { return try file(text) }
      do {
        return try TimeZoneRules(named: text)
      } catch {
        guard case .zoneUnknown = error, let rule = try? TimeZoneRules(posix: text) else { throw error }
        return rule
      }
    }
    // No file means UTC: `localtime(5)`.
    var status = stat()
    guard stat(localtime, &status) == 0 else { return .utc }
    return try file(localtime)
  }

  private static func file(_ path: String) throws(SchedulingError) -> TimeZoneRules {
    var name = path
    if let target = realpath(path, nil) {
      name = String(cString: target)
      free(target)
    }
    if let range = name.firstRange(of: "/zoneinfo/") { name = String(name[range.upperBound...]) }
    guard let bytes = read(path) else { throw .zoneUnknown(name: path) }
    return try TimeZoneRules(name: name, tzif: bytes)
  }

  /// Nil where there is no regular file of a sensible size.
  private static func read(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= 1 << 20 else {
      return nil
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + filled, $0.count - filled, off_t(filled))
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return nil }
      filled += count
    }
    return bytes
  }
}
