internal import BackupModel
internal import BlockingWork

/// What was found out about a store by using it: `backupctl repository probe`.
public struct StoreProbe: Sendable {
  public enum Verdict: String, Sendable {
    /// As it should be.
    case yes
    /// It is not, and something is lost by it.
    case no
    /// It is not, and nothing can be done without it.
    case missing
  }
  public struct Finding: Sendable {
    /// A word for programs: `write`, `conditionalPut`.
    public var check: String
    public var verdict: Verdict
    /// A sentence for people.
    public var detail: String
  }

  public private(set) var findings: [Finding] = []
  public var isUsable: Bool { !findings.contains { $0.verdict == .missing } }

  mutating func add(_ check: String, _ verdict: Verdict, _ detail: String) {
    findings.append(Finding(check: check, verdict: verdict, detail: detail))
  }

  /// Notes a question that could not be asked.
  mutating func addUnknown(_ check: String, _ error: any Error) {
    add(check, .no, "It could not be found out: " + Self.text(error))
  }

  mutating func addVersioning(_ isOn: Bool) {
    add(
      "versioning", isOn ? .yes : .no,
      isOn
        ? "Deleted objects can be recovered: \"restore --as-of TIME\"."
        : "The bucket keeps no versions: what is deleted is gone.")
  }

  /// Prune hides what it deletes where there are versions; only the bucket itself takes it away, some time later.
  mutating func addSweeping(_ isOn: Bool) {
    add(
      "lifecycle", isOn ? .yes : .no,
      isOn
        ? "A rule of the bucket removes old versions."
        : "No rule of the bucket removes old versions, or these rights do not let it be asked: what prune deletes still "
          + "takes room.")
  }

  private static func text(_ error: any Error) -> String {
    let report = ErrorReport(error)
    let parts = [report.summary, report.detail, report.hint].compactMap { $0 }
    return parts.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }.joined(separator: ". ") + "."
  }

  /// Notes whether something works; without it nothing does.
  /// - Returns: Whether it does.
  mutating func need(_ check: String, _ good: String, _ body: () throws -> String?) -> Bool {
    do {
      if let bad = try body() {
        add(check, .missing, bad)
        return false
      }
      add(check, .yes, good)
      return true
    } catch {
      add(check, .missing, Self.text(error))
      return false
    }
  }

  /// Tries what every store must do, with one small object below `tmp/` that is taken away again.
  ///
  /// - Parameter more: What else is worth knowing; given the probe and the name of the object while it is there.
  public static func run(
    _ store: any ObjectStore, more: (inout StoreProbe, ObjectName) -> Void = { _, _ in }
  ) -> StoreProbe {
    var probe = StoreProbe()
    let name = ObjectName(composed: "tmp/probe-\(RandomID.random())")
    let bytes = (0..<65536).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    guard
      probe.need(
        "list", "It can be listed.",
        {
          _ = try store.list(below: "")
          return nil
        })
    else { return probe }
    let isWritten = probe.need("write", "It can be written.") {
      try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      return nil
    }
    guard isWritten else { return probe }
    _ = probe.need("read", "What was written is read, also a part of it.") {
      var part = [UInt8](repeating: 0, count: 1000)
      try part.withUnsafeMutableBytes { try store.read(name, at: 12345, into: $0) }
      let isSame = try store.readAll(name) == bytes && part.elementsEqual(bytes[12345..<13345])
      return isSame ? nil : "Other bytes come back than were written."
    }
    _ = probe.need("listAfterWrite", "What was written is listed at once.") {
      let isListed = try store.list(below: "tmp").objects.contains { $0.name == name && $0.size == bytes.count }
      return isListed ? nil : "An object that was just written is not listed: backups could be taken for missing."
    }
    _ = probe.need("neverOverwrites", "Nothing is put over what is there.") {
      do {
        try [UInt8(1)].withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
        return "An object was overwritten."
      } catch StorageError.alreadyExists {
        return nil
      }
    }
    more(&probe, name)
    do {
      try store.delete(name)
      probe.add("delete", .yes, "Objects can be deleted.")
    } catch {
      probe.add(
        "delete", .no,
        "Objects cannot be deleted with these rights: nothing is pruned, and leases stay until they end. "
          + (ErrorReport(error).detail ?? ""))
    }
    return probe
  }
}
