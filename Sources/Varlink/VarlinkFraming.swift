#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Messages on the wire: JSON objects, each closed by a NUL.
public enum VarlinkFraming {
  /// 1 MiB: what a server takes in one message, unless told otherwise.
  public static let standardLimit = 1 << 20

  static func encode(_ message: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // A NUL inside a text is written \u0000, so the only bare one is the end.
    return try Array(encoder.encode(message)) + [0]
  }
}

/// Cuts a stream of bytes into messages, holding at most one message more than its limit.
public struct VarlinkFrameBuffer: Sendable {
  private var bytes: [UInt8] = []
  private var head = 0
  /// Up to here there is no NUL: each byte is looked at once, however slowly a message arrives.
  private var searched = 0
  private let limit: Int

  /// - Parameter limit: Bytes of one message, the NUL not counted.
  public init(limit: Int = VarlinkFraming.standardLimit) { self.limit = limit }

  /// Bytes taken and not yet handed out.
  public var count: Int { bytes.count - head }

  public mutating func append(_ new: some Collection<UInt8>) { bytes.append(contentsOf: new) }

  /// The next whole message without its NUL; nil until it is there.
  /// - Throws: ``VarlinkError/messageTooLarge(limit:)``; the stream cannot be read on then.
  public mutating func next() throws(VarlinkError) -> [UInt8]? {
    guard let end = bytes[searched...].firstIndex(of: 0) else {
      searched = bytes.count
      guard count <= limit else { throw .messageTooLarge(limit: limit) }
      return nil
    }
    guard end - head <= limit else { throw .messageTooLarge(limit: limit) }
    let message = Array(bytes[head..<end])
    head = end + 1
    searched = head
    if head == bytes.count || head >= 65_536 {
      bytes.removeFirst(head)
      head = 0
      searched = 0
    }
    return message
  }
}
