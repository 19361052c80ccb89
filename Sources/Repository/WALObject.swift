public import BackupModel
public import BlockingWork
internal import Compression
internal import Cryptography
internal import KeyManagement
public import Storage

/// WAL as sealed objects: stream frames of the bytes, then frames of the index.
extension Repository {
  /// Seals a segment, a slice or a history file.
  /// - Parameters:
  ///   - index: Asked for after the pieces; nil for a history file.
  ///   - buffer: Emptied first; holds the object on return.
  ///   - pieces: Gives the bytes in order to the closure it gets, 256 KiB at a time.
  public func sealWAL(
    _ kind: ObjectKind, _ name: ObjectName, index: @autoclosure () throws -> WALIndex?, into buffer: SealedBuffer,
    pieces: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    let builder = try makeBuilder(kind, name, buffer: buffer)
    let compressor = try ZstdCompressor()
    try pieces { try builder.appendStream($0, with: compressor) }
    if let index = try index() {
      let encoded = index.encoded()
      try encoded.withUnsafeBytes { plain in
        var position = 0
        while position < plain.count {
          let end = min(position + SealedFormat.maximumFrame, plain.count)
          _ = try builder.append(
            UnsafeRawBufferPointer(rebasing: plain[position..<end]), role: .index, with: compressor)
          position = end
        }
      }
    }
    _ = try builder.finish()
  }

  /// Puts a sealed object into one store. Durable on return.
  public func putSealed(
    _ name: ObjectName, _ buffer: SealedBuffer, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    try store.objects.put(name, buffer.bytes, cancellation: cancellation)
  }

  /// Records a gap in one store. Durable on return; may be called again.
  public func putGap(
    _ gap: WALGap, of lineage: Lineage, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    try putDocument(gap, lineage.gap(gap.id), in: store, cancellation: cancellation)
  }
}

extension SealedBuffer {
  /// Takes a whole sealed object that was read from a store.
  public func fill(with object: [UInt8]) {
    count = 0
    append(object)
  }
}

extension SealedObjectReader {
  /// Gives the stream's bytes to a closure, frame by frame.
  public func forEachStreamFrame(_ body: ([UInt8]) throws -> Void) throws {
    for frame in frames where frame.role == .stream { try body(try read(frame)) }
  }

  /// The index of a WAL segment or slice.
  /// - Throws: ``WALIndexError``, ``RepositoryError``, `StorageError`.
  public func readWALIndex() throws -> WALIndex {
    var bytes: [UInt8] = []
    for frame in frames where frame.role == .index { bytes += try read(frame) }
    return try WALIndex(decoding: bytes)
  }
}

/// WAL that the server removed before it was here: no restore can pass it.
public struct WALGap: Sendable, Hashable, Codable {
  public static let formatVersion = 1
  public var format: Int
  public var id: RandomID
  public var timeline: TimelineID
  /// End of the WAL held before the gap.
  public var first: LSN
  /// Where WAL is held again.
  public var end: LSN
  public var reason: String
  public var found: Timestamp
  /// No loss: WAL that no promise needed any more. Nil means false.
  public var pruned: Bool?

  public init(
    id: RandomID = .random(), timeline: TimelineID, first: LSN, end: LSN, reason: String, found: Timestamp = .now(),
    pruned: Bool? = nil
  ) {
    self.pruned = pruned
    format = Self.formatVersion
    self.id = id
    self.timeline = timeline
    self.first = first
    self.end = end
    self.reason = reason
    self.found = found
  }
}
