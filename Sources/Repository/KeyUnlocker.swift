internal import BackupModel
internal import BlockingWork
public import KeyManagement
internal import Storage

/// Opens the data keys of a repository, each with the first recipient that can.
struct KeyUnlocker {
  private let root: Repository.Root
  private let stores: [RepositoryStore]
  private let unlocking: Unlocking
  /// Names of recipients by the data key that is wrapped for them.
  private let envelopes: [KeyID: Set<String>]
  /// Envelopes for us that did not open.
  private var failures: [Unlocking.Failure] = []
  /// Why recipients do not answer, by their place.
  private var silent: [Int: AWSKMSError] = [:]

  private struct Opened {
    var sequence: Int
    var key: DataKey
    var recipient: String
  }

  init(_ root: Repository.Root, in stores: [RepositoryStore], with unlocking: Unlocking) throws {
    self.root = root
    self.stores = stores
    self.unlocking = unlocking
    envelopes = try Repository.envelopeNames(in: stores)
  }

  /// Every data key that an envelope for us opens; new objects are sealed with the newest.
  ///
  /// One that does not open hinders no other: anybody who can write to a store can put an envelope there.
  /// - Throws: Where none opens.
  mutating func keyRing() throws -> KeyRing {
    var opened: [Opened] = []
    var unopened: [KeyRing.Unopened] = []
    for (key, names) in envelopes.sorted(by: { $0.key < $1.key }) {
      let before = failures.count
      if let found = try open(key, names) {
        opened.append(found)
      } else {
        unopened += failures[before...].map { KeyRing.Unopened(envelope: $0.envelope, cause: ErrorReport($0.cause)) }
      }
    }
    guard let newest = opened.max(by: { $0.sequence < $1.sequence }) else { throw failure }
    return KeyRing(
      repository: root.repository, current: newest.key, others: opened.map(\.key), recipient: newest.recipient,
      unopened: unopened)
  }

  private var failure: any Error {
    unlocking.failure(failures, present: envelopes.values.reduce(into: Set()) { $0.formUnion($1) }.sorted())
  }

  /// Nil where no envelope is for us, or none of them opens.
  private mutating func open(_ key: KeyID, _ names: Set<String>) throws -> Opened? {
    for (index, recipient) in unlocking.recipients.enumerated() {
      for name in names.filter(recipient.mayOpen).sorted() {
        let object = Repository.envelopeName(key, name)
        do {
          guard let envelope = try envelope(of: key, object) else { continue }
          // Each attempt at somebody who does not answer costs seconds.
          if let error = silent[index] { throw error }
          let dataKey = try envelope.unlock(with: recipient, name: object.text)
          return Opened(sequence: envelope.sequence, key: dataKey, recipient: name)
        } catch let error as CancellationError {
          throw error
        } catch {
          if let error = error as? AWSKMSError, error.isUnreachable { silent[index] = error }
          failures.append(.init(recipient: index, envelope: object.text, cause: error))
        }
      }
    }
    return nil
  }

  /// Nil for what a creation left that was killed before it made the repository.
  private func envelope(of key: KeyID, _ object: ObjectName) throws -> KeyEnvelope? {
    try Repository.firstAnswer(in: stores, for: object) { store -> KeyEnvelope? in
      let envelope = try Repository.readEnvelope(object, in: store)
      if envelope.repository != root.repository { return nil }
      guard envelope.key == key else {
        throw RepositoryError.damaged(object, in: store.id, reason: "It is the envelope of another key.")
      }
      return envelope
    }
  }
}

extension Repository {
  /// Somebody the current data key is wrapped for.
  public struct Recipient: Sendable {
    /// `keys/<key-id>/<name>.json`.
    public var name: String
    /// Nil where it cannot be read in any store.
    public var envelope: KeyEnvelope?
  }

  /// All recipients of the data key that new objects are sealed with, by name.
  public func recipients() throws -> [Recipient] {
    let names = try Self.envelopeNames(in: stores)[keys.current.id] ?? []
    return names.sorted().compactMap { name in
      let object = Self.envelopeName(keys.current.id, name)
      let envelope = try? firstAnswer(for: object) { try Self.readEnvelope(object, in: $0) }
      return envelope.map({ $0.repository == id }) ?? true ? Recipient(name: name, envelope: envelope) : nil
    }
  }

  /// Wraps a new data key for all recipients.
  /// - Throws: `KeyError`, `AWSKMSError`: each of them must be there now.
  static func envelopes(
    of dataKey: DataKey, _ repository: RepositoryID, for unlocking: Unlocking, _ cancellation: Cancellation
  ) throws -> [KeyEnvelope] {
    var envelopes: [KeyEnvelope] = []
    for recipient in unlocking.recipients {
      let envelope = try KeyEnvelope(dataKey, repository: repository, for: recipient, cancellation: cancellation)
      if let same = envelopes.firstIndex(where: { $0.recipient == envelope.recipient }) {
        throw KeyError.recipientTwice(unlocking.recipients[same].description, recipient.description)
      }
      envelopes.append(envelope)
    }
    return envelopes
  }

  static func envelopeName(_ key: KeyID, _ recipient: String) -> ObjectName {
    ObjectName(composed: "keys/\(key)/\(recipient).json")
  }

  /// The names of recipients by data key, as any of the stores has them.
  fileprivate static func envelopeNames(in stores: [RepositoryStore]) throws -> [KeyID: Set<String>] {
    var names: [KeyID: Set<String>] = [:]
    for store in stores {
      for text in try store.objects.list(below: "keys").prefixes {
        guard let key = try? KeyID(text) else { continue }
        let found = try store.objects.list(below: "keys/\(key)").objects.map(\.name.lastComponent)
        names[key, default: []].formUnion(found.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) })
      }
    }
    return names
  }

  fileprivate static func readEnvelope(_ name: ObjectName, in store: RepositoryStore) throws -> KeyEnvelope {
    try decodeEnvelope(store.objects.readAll(name, limit: 1 << 20), name, in: store)
  }

  static func decodeEnvelope(
    _ bytes: [UInt8], _ name: ObjectName, in store: RepositoryStore
  ) throws -> KeyEnvelope {
    do {
      let format = try CheckedDocument.decodePlain(Format.self, bytes).format
      guard format == KeyEnvelope.formatVersion else {
        throw KeyError.formatUnknown(name.text, found: format, known: KeyEnvelope.formatVersion)
      }
      return try CheckedDocument.decodePlain(KeyEnvelope.self, bytes)
    } catch let failure as CheckedDocument.Failure {
      throw RepositoryError.damaged(name, in: store.id, reason: reason(failure))
    }
  }
}
