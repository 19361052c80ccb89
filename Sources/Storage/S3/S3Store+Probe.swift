internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Transfer

extension S3Store {
  /// Finds out what the server really does.
  public func probe() -> StoreProbe {
    StoreProbe.run(self) { probe, name in
      probeConditions(&probe)
      probeSignature(&probe)
      probePayload(&probe)
      probeClass(&probe, name)
      probeBucket(&probe)
      // Whoever makes a repository here looks for a bucket that is empty.
      _ = try? send(S3Connection.Call(method: .delete, key: key("tmp/conditional-put"), accepted: [404]))
    }
  }

  private func probeConditions(_ probe: inout StoreProbe) {
    do {
      let isHeeded = try isConditional(Cancellation())
      probe.add(
        "conditionalPut", isHeeded ? .yes : .no,
        isHeeded
          ? "The server itself refuses to put over an object."
          : "The server ignores If-None-Match: only this daemon may write to the store, since two could overwrite each other."
      )
    } catch {
      probe.addUnknown("conditionalPut", error)
    }
  }

  private func probeSignature(_ probe: inout StoreProbe) {
    let keys = AWSKeys(accessKey: "AKIAPROBE00000000000", secretKey: "probe")
    let stranger = S3Store(
      settings, credentials: AWSCredentials(.configured { keys }, environment: [:]),
      retries: RetrySchedule(total: .zero))
    let isOpen = (try? stranger.list(below: "")) != nil
    probe.add(
      "signature", isOpen ? .no : .yes,
      isOpen ? "The server lists the bucket for anybody: it checks no signature." : "A stranger is refused.")
  }

  private func probePayload(_ probe: inout StoreProbe) {
    let bytes: [UInt8] = [1, 2, 3]
    let isChecked: Bool
    do {
      isChecked = try bytes.withUnsafeBytes { bytes in
        // The hash of something else.
        let call = S3Connection.Call(
          method: .put, key: key("tmp/probe-payload"), body: bytes, payloadHash: S3Connection.emptyHash,
          accepted: [400, 403])
        return try !send(call).isSuccess
      }
    } catch {
      return probe.addUnknown("payloadHash", error)
    }
    if !isChecked { _ = try? send(S3Connection.Call(method: .delete, key: key("tmp/probe-payload"), accepted: [404])) }
    probe.add(
      "payloadHash", isChecked ? .yes : .no,
      isChecked
        ? "Bytes that changed on their way are refused."
        : "The server does not check that bytes arrive unchanged: use TLS; \"verify --full\" finds what was damaged.")
  }

  private func probeClass(_ probe: inout StoreProbe, _ name: ObjectName) {
    guard let wanted = settings.packClass else { return }
    let bytes: [UInt8] = [1]
    let probeKey = key("tmp/packs/probe")
    let found = bytes.withUnsafeBytes { bytes -> String? in
      var call = S3Connection.Call(
        method: .put, key: probeKey, body: bytes, payloadHash: BytesText.hexadecimal(SHA256Digest.hash([1])))
      call.headers = [("x-amz-storage-class", wanted)]
      guard (try? send(call)) != nil else { return nil }
      let head = try? send(S3Connection.Call(method: .head, key: probeKey))
      return head.map { $0.headers["x-amz-storage-class"] ?? "STANDARD" }
    }
    _ = try? send(S3Connection.Call(method: .delete, key: probeKey, accepted: [404]))
    let isKept = found == wanted
    probe.add(
      "storageClass", isKept ? .yes : found == nil ? .missing : .no,
      isKept
        ? "Packs get the class \(wanted)."
        : found.map { "The server stores packs as \($0), not as \(wanted)." }
          ?? "The server refuses the class \(wanted).")
  }

  /// What the bucket is set to; a server that does not know the question has neither.
  private func probeBucket(_ probe: inout StoreProbe) {
    let isVersioned = setting("versioning")?.child("Status")?.text == "Enabled"
    probe.addVersioning(isVersioned)
    if isVersioned {
      probeDeletion(&probe)
      probeLifecycle(&probe)
    }
    let isLocking = setting("object-lock")?.child("ObjectLockEnabled")?.text == "Enabled"
    switch (isLocking, settings.lock) {
    case (true, let lock?):
      probe.add(
        "objectLock", .yes,
        "What restores need is locked for \(DurationText.format(lock.period)) (\(lock.mode.rawValue)).")
    case (true, nil): probe.add("objectLock", .yes, "The bucket can lock objects; the store's \"lock\" would use it.")
    case (false, _?):
      probe.add("objectLock", .missing, "The bucket cannot lock objects, or these rights do not let it be asked.")
    case (false, nil):
      probe.add("objectLock", .no, "The bucket cannot lock objects: who has the keys can delete backups.")
    }
  }

  /// Whether deleting only hides, as versioning promises.
  private func probeDeletion(_ probe: inout StoreProbe) {
    let probeKey = key("tmp/probe-marker")
    do {
      _ = try sendDocument("This object was deleted to see what becomes of it.\n", .put, key: probeKey, query: [])
      let answer = try send(S3Connection.Call(method: .delete, key: probeKey, accepted: [404]))
      let isHidden = answer.headers["x-amz-delete-marker"] == "true"
      probe.add(
        "deleteMarker", isHidden ? .yes : .no,
        isHidden
          ? "Deleting only hides an object."
          : "The bucket says that it keeps versions, and deleting leaves no marker.")
    } catch let error as S3Error where error.isDenied {
      // Told by "delete".
    } catch {
      probe.addUnknown("deleteMarker", error)
    }
  }

  private func probeLifecycle(_ probe: inout StoreProbe) {
    let rules = setting("lifecycle")?.children("Rule") ?? []
    probe.addSweeping(
      rules.contains {
        $0.child("Status")?.text == "Enabled" && $0.child("NoncurrentVersionExpiration") != nil
      })
  }

  /// Rights that do not let it be asked are for whoever asks to tell.
  private func setting(_ what: String) -> XMLElement? {
    try? setting(what, absent: [400, 403, 404, 405, 501])
  }
}
