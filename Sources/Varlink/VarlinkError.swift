public import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// The socket or what came over it.
public enum VarlinkError: OperatorError, Equatable {
  /// `code` is the `errno` of `connect(2)`.
  case connectionRefused(path: String, code: CInt)
  case connectionLost(path: String)
  case timedOut(path: String, method: String)
  case malformed(String)
  case messageTooLarge(limit: Int)
  case socketInUse(path: String)
  case notASocket(path: String)
  case pathTooLong(path: String, limit: Int)
  case system(action: String, path: String, code: CInt)
  /// The other side went away while it was being answered.
  case callerGone

  public var summary: String {
    switch self {
    case .connectionRefused(let path, _): "could not connect to \"\(path)\""
    case .connectionLost(let path): "could not read the answer from \"\(path)\""
    case .timedOut(let path, let method): "could not get an answer to \"\(method)\" from \"\(path)\""
    case .malformed: "cannot understand the Varlink message"
    case .messageTooLarge: "cannot take so large a Varlink message"
    case .socketInUse(let path): "could not listen on \"\(path)\""
    case .notASocket(let path): "cannot listen on \"\(path)\""
    case .pathTooLong(let path, _): "cannot use \"\(path)\" as a socket"
    case .system(let action, let path, _): "could not \(action) \"\(path)\""
    case .callerGone: "could not answer the caller"
    }
  }

  public var detail: String? {
    switch self {
    case .connectionRefused(_, let code), .system(_, _, let code): String(cString: strerror(code)) + "."
    case .connectionLost: "The other side closed the connection."
    case .timedOut: "The other side accepted the connection and stayed silent."
    case .malformed(let what): what
    case .messageTooLarge(let limit): "A message has at most \(limit) bytes."
    case .socketInUse: "Another process answers on this socket."
    case .notASocket: "There is something at this path that is not a socket."
    case .pathTooLong(_, let limit): "The path of a socket has at most \(limit) bytes."
    case .callerGone: "The caller closed the connection."
    }
  }

  public var hint: String? {
    switch self {
    case .socketInUse(let path): "Stop the process that \"ss -xlp src \(path)\" names, or choose another socket path."
    case .notASocket: "Move it away, or choose another socket path."
    case .pathTooLong: "Choose a shorter path."
    case .system(_, _, EACCES), .system(_, _, EPERM): "Check who owns it and the modes of the directories above it."
    default: nil
    }
  }
}

/// An error a method answers with. Thrown by a handler, it becomes the reply.
public struct VarlinkErrorReply: Error {
  /// Interface and error: `io.backupd.Control.NoSuchJob`.
  public let name: String
  public let parameters: any Encodable & Sendable

  public init(_ name: String, _ parameters: any Encodable & Sendable = VarlinkNothing()) {
    self.name = name
    self.parameters = parameters
  }

  /// The errors every service has.
  /// - SeeAlso: <https://varlink.org/Service>
  public static func interfaceNotFound(_ name: String) -> VarlinkErrorReply {
    VarlinkErrorReply("org.varlink.service.InterfaceNotFound", ["interface": name])
  }
  public static func methodNotFound(_ name: String) -> VarlinkErrorReply {
    VarlinkErrorReply("org.varlink.service.MethodNotFound", ["method": name])
  }
  public static func invalidParameter(_ name: String) -> VarlinkErrorReply {
    VarlinkErrorReply("org.varlink.service.InvalidParameter", ["parameter": name])
  }

  func encoded() throws -> [UInt8] { try VarlinkReply.encode(error: name, parameters) }
}

/// An error a call was answered with.
public struct VarlinkRemoteError: OperatorError {
  /// Interface and error: `io.backupd.Control.NoSuchJob`.
  public let name: String
  /// What the error carries.
  public let reply: VarlinkReply

  public var summary: String { "the call was answered with the error \"\(name)\"" }
  public var detail: String? {
    (try? reply.parameters(as: [String: String].self)).flatMap { fields in
      fields.isEmpty ? nil : fields.sorted { $0.key < $1.key }.map { "\($0): \($1)" }.joined(separator: ", ") + "."
    }
  }
}
