internal import BackupModel
public import BlockingWork
internal import Foundation
import Synchronization

/// Where the tokens come from that requests to Google carry.
public enum GCPCredentialSource: Sendable {
  /// The content of a service account's key file in JSON; read anew for each token.
  case serviceAccount(@Sendable () throws -> [UInt8])
  /// The account of the virtual machine we run on.
  case metadataServer
  /// The file that `GOOGLE_APPLICATION_CREDENTIALS` names; without it the metadata server.
  case automatic
  /// None: for public buckets and emulators.
  case anonymous
}

/// Tokens, kept until shortly before they end or until they are refused.
public final class GCPCredentials: Sendable {
  private let source: GCPCredentialSource
  private let environment: [String: String]
  private let scope: String
  private let client: HTTPClient
  private let known = Renewed<GCPToken?>(margin: .seconds(180)) { $0?.expires }

  /// - Parameters:
  ///   - environment: `GOOGLE_APPLICATION_CREDENTIALS` and `GCE_METADATA_HOST`, as Google's own programs read them; nil
  ///     takes the process's own.
  ///   - scope: What a service account's tokens are for; a machine's are for what the machine may.
  public init(
    _ source: GCPCredentialSource, environment: [String: String]? = nil,
    scope: String = "https://www.googleapis.com/auth/devstorage.read_write"
  ) {
    self.source = source
    self.environment = environment ?? ProcessInfo.processInfo.environment
    self.scope = scope
    var options = HTTPClient.Options()
    options.connections = 1
    options.patience = .seconds(10)
    client = HTTPClient(options)
  }

  /// - Returns: Nil for requests that carry none.
  /// - Throws: ``GCPCredentialError``; what reading a secret throws; ``TransferError``; `CancellationError`.
  public func token(_ cancellation: Cancellation) throws -> GCPToken? {
    try known.value { try ask(cancellation) }
  }

  /// The token was refused.
  public func forget() { known.forget() }

  private func ask(_ cancellation: Cancellation) throws -> GCPToken? {
    switch source {
    case .anonymous: return nil
    case .serviceAccount(let read): return try token(keyFile: read(), cancellation)
    case .metadataServer: return try machineToken(cancellation)
    case .automatic:
      if let path = environment["GOOGLE_APPLICATION_CREDENTIALS"], !path.isEmpty {
        guard let data = FileManager.default.contents(atPath: path) else {
          throw GCPCredentialError.keyFileInvalid(
            "\"\(path)\", which GOOGLE_APPLICATION_CREDENTIALS names, is unreadable.")
        }
        return try token(keyFile: Array(data), cancellation)
      }
      do {
        return try machineToken(cancellation)
      } catch let error as TransferError where error.isTransient {
        throw GCPCredentialError.silent(reason: error.detail)
      }
    }
  }

  private func token(keyFile: [UInt8], _ cancellation: Cancellation) throws -> GCPToken {
    try GCPServiceAccount(keyFile: keyFile).token(scope: scope, client, cancellation)
  }

  /// - SeeAlso: Google, "Compute Engine: Authenticate workloads using service accounts".
  private func machineToken(_ cancellation: Cancellation) throws -> GCPToken {
    let moment = Timestamp.now()
    let host = environment["GCE_METADATA_HOST"] ?? "169.254.169.254"
    let url = "http://\(host)/computeMetadata/v1/instance/service-accounts/default/token"
    let request = HTTPRequest(.get, url, headers: [("Metadata-Flavor", "Google")])
    let response = try client.send(request, into: .collect(limit: 64 << 10), cancellation)
    // Anything may answer at this address in a network that is not Google's.
    guard response.headers["metadata-flavor"] == "Google" else {
      throw GCPCredentialError.none(reason: "What answers at \"\(host)\" is no metadata server of Google's.")
    }
    guard response.isSuccess else { throw GCPCredentialError.refused(response, by: "the metadata server") }
    guard let token = GCPToken.parse(response.body, at: moment) else {
      throw GCPCredentialError.unreadable(by: "the metadata server")
    }
    return token
  }
}
