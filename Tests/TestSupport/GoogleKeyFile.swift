internal import Foundation

/// A key of a service account that was made for this test.
public struct GoogleKeyFile: Sendable {
  /// The JSON that Google makes for a key.
  public let content: [UInt8]
  /// The private key in PEM.
  public let privateKey: String
  /// Where its public half lies, in PEM.
  public let publicPath: String

  public init(_ directory: String, tokenAddress: String) throws {
    let path = directory + "/key.pem"
    publicPath = directory + "/public.pem"
    try Program.succeed(
      "openssl", ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path])
    try Program.succeed("openssl", ["pkey", "-in", path, "-pubout", "-out", publicPath])
    privateKey = String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    let account = [
      "type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key_id": "key-1",
      "private_key": privateKey, "token_uri": tokenAddress,
    ]
    content = Array(try JSONSerialization.data(withJSONObject: account))
  }
}
