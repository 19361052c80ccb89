internal import BackupModel
internal import BlockingWork
internal import Transfer

extension S3Store {
  /// What one request may delete.
  private static let batch = 1000
  /// Errors of single names that another attempt may be spared.
  private static let passing: Set<String?> = ["InternalError", "SlowDown", "ServiceUnavailable"]

  /// - SeeAlso: AWS, "DeleteObjects".
  public func delete(_ names: [ObjectName]) throws {
    // One alone needs no list, which some rights do not allow.
    if names.count == 1 { return try delete(names[0]) }
    for start in stride(from: 0, to: names.count, by: Self.batch) {
      let some = Array(names[start..<min(start + Self.batch, names.count)])
      do {
        try deleteTogether(some)
        connection.knownLocks.forget(some)
      } catch StorageError.deletionRefused(nil, _, _) {
        // Ceph asks for a right to the bucket before it looks at the names; each alone needs none.
        for name in some { try delete(name) }
      }
    }
  }

  private func deleteTogether(_ names: [ObjectName]) throws {
    // Names hold nothing that XML would have to escape; a prefix holds the same characters.
    let objects = names.map { "<Object><Key>\(key($0.text))</Key></Object>" }.joined()
    var answer: XMLElement?
    func isAnswer(_ response: HTTPResponse) -> Bool {
      answer = XMLElement.parse(response.body)
      return answer?.name == "DeleteResult"
        && answer?.children("Error").contains { Self.passing.contains($0.child("Code")?.text) } == false
    }
    try calling("delete from", nil) {
      do {
        _ = try sendDocument(
          "<Delete><Quiet>true</Quiet>\(objects)</Delete>", .post, query: [("delete", "")], isAnswer: isAnswer)
      } catch let error as S3Error where error.isDenied {
        throw StorageError.deletionRefused(nil, in: location, cause: ErrorReport(error))
      }
    }
    // Success means that the request was understood; each name has an answer of its own.
    let errors = answer?.children("Error").filter { $0.child("Code")?.text != "NoSuchKey" } ?? []
    guard let first = errors.first else { return }
    let words = [first.child("Code")?.text, first.child("Message")?.text].compactMap { $0 }.joined(separator: ": ")
    let name = names.first { key($0.text) == first.child("Key")?.text }
    let cause = ErrorReport(
      summary: "the server refused \(errors.count) of \(names.count)", detail: words,
      hint: "\"backupctl repository policy\" prints the rights that the keys need.")
    if errors.allSatisfy({ $0.child("Code")?.text == "AccessDenied" }) {
      throw StorageError.deletionRefused(name ?? names[0], in: location, cause: cause)
    }
    throw StorageError.failed(
      "delete", name, in: location, cause: cause,
      retry: ["InternalError", "SlowDown"].contains(first.child("Code")?.text) ? .mayHelp : .useless)
  }
}
