import BackupModel
import BlockingWork
import Foundation
import TestSupport
import Testing

@testable import Transfer

@Suite("Google's tokens") struct GCPCredentialsTests {
  @Test("are asked for with a signature that the account's public key proves, kept, and asked for anew once refused")
  func serviceAccount() throws {
    try GoogleTokenServer.run { server in
      let keys = try GoogleKeyFile(server.directory, tokenAddress: server.endpoint + "/token")
      let credentials = GCPCredentials(.serviceAccount { keys.content }, environment: [:], scope: "a-scope")
      let token = try #require(try credentials.token(Cancellation()))
      #expect(token.header.value == "Bearer token-1")
      #expect(abs((token.expires - .now()) / .seconds(1) - 3600) < 60)
      #expect(try credentials.token(Cancellation())?.header.value == "Bearer token-1")
      credentials.forget()
      #expect(try credentials.token(Cancellation())?.header.value == "Bearer token-2")

      let request = try server.request(1)
      #expect(request.contains("Content-Type: application/x-www-form-urlencoded"))
      #expect(request.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"))
      let start = try #require(request.firstRange(of: "assertion=")).upperBound
      try check(String(request[start...].prefix { $0 != "&" && !$0.isNewline }), keys, server)
    }
  }

  /// By the OpenSSL command line, which is none of ours.
  private func check(_ assertion: String, _ keys: GoogleKeyFile, _ server: GoogleTokenServer) throws {
    let parts = assertion.split(separator: ".").map(String.init)
    try #require(parts.count == 3)
    let header = try #require(JSONSerialization.jsonObject(with: decoded(parts[0])) as? [String: String])
    #expect(header == ["alg": "RS256", "typ": "JWT", "kid": "key-1"])
    let claims = try #require(JSONSerialization.jsonObject(with: decoded(parts[1])) as? [String: Any])
    #expect(claims["iss"] as? String == "a@b.iam.gserviceaccount.com" && claims["scope"] as? String == "a-scope")
    #expect(claims["aud"] as? String == server.endpoint + "/token")
    let issued = try #require(claims["iat"] as? Int)
    #expect(claims["exp"] as? Int == issued + 3600 && abs(Int64(issued) - Timestamp.now().seconds) < 60)
    let (text, signature) = (server.directory + "/text", server.directory + "/signature")
    #expect(FileManager.default.createFile(atPath: text, contents: Data("\(parts[0]).\(parts[1])".utf8)))
    #expect(FileManager.default.createFile(atPath: signature, contents: try decoded(parts[2])))
    let verdict = try Program.succeed(
      "openssl", ["dgst", "-sha256", "-verify", keys.publicPath, "-signature", signature, text])
    #expect(verdict.contains("Verified OK"))
  }

  private func decoded(_ text: String) throws -> Data {
    let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
    return try #require(Data(base64Encoded: base64 + String(repeating: "=", count: (4 - base64.count % 4) % 4)))
  }

  private func failure(_ credentials: GCPCredentials) -> GCPCredentialError? {
    do {
      _ = try credentials.token(Cancellation())
      return nil
    } catch {
      return error as? GCPCredentialError
    }
  }

  @Test("come from the machine's metadata server, and from nothing else that answers there")
  func metadata() throws {
    try GoogleTokenServer.run { server in
      let host = String(server.endpoint.dropFirst("http://".count))
      let credentials = GCPCredentials(.metadataServer, environment: ["GCE_METADATA_HOST": host])
      let token = try credentials.token(Cancellation())
      #expect(token?.header.value == "Bearer token-1")
      #expect(try server.request(1).contains("Metadata-Flavor: Google"))
      let automatic = GCPCredentials(.automatic, environment: ["GCE_METADATA_HOST": host])
      #expect(try automatic.token(Cancellation())?.header.value == "Bearer token-2")
      let stranger = GCPCredentials(.automatic, environment: ["GCE_METADATA_HOST": host + "/stranger"])
      #expect(failure(stranger)?.detail?.contains("no metadata server of Google's") == true)
      #expect(failure(stranger)?.isTransient == false)
    }
  }

  /// Gives out one token, and then is in trouble.
  private static let tired = """
    import http.server, json, sys
    count = 0
    class Handler(http.server.BaseHTTPRequestHandler):
      def do_GET(self):
        global count
        count += 1
        data = json.dumps({"access_token": f"token-{count}", "expires_in": int(sys.argv[1])}).encode()
        self.send_response(200 if count == 1 else 503); self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
      def log_message(self, *words): pass
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(f"{server.server_port};", flush=True)
    server.serve_forever()
    """

  @Test("that are about to end are sent while no others can be had, and no longer", arguments: [60, 0])
  func renewal(life: Int) throws {
    try Program.running("python3", ["-c", Self.tired, "\(life)"]) { program in
      try program.waitForOutput(containing: ";")
      let host = "127.0.0.1:" + program.standardOutput.prefix { $0 != ";" }
      let credentials = GCPCredentials(.metadataServer, environment: ["GCE_METADATA_HOST": host])
      #expect(try credentials.token(Cancellation())?.header.value == "Bearer token-1")
      if life == 0 {
        #expect(failure(credentials)?.isTransient == true)
      } else {
        #expect(try credentials.token(Cancellation())?.header.value == "Bearer token-1")
        credentials.forget()
        #expect(failure(credentials) != nil)
      }
    }
  }

  @Test("come from the file that the environment names before the metadata server")
  func automatic() throws {
    try GoogleTokenServer.run { server in
      let keys = try GoogleKeyFile(server.directory, tokenAddress: server.endpoint + "/token")
      let path = server.directory + "/account.json"
      #expect(FileManager.default.createFile(atPath: path, contents: Data(keys.content)))
      var environment = ["GOOGLE_APPLICATION_CREDENTIALS": path, "GCE_METADATA_HOST": "127.0.0.1:1"]
      #expect(try GCPCredentials(.automatic, environment: environment).token(Cancellation()) != nil)
      environment["GOOGLE_APPLICATION_CREDENTIALS"] = path + "-away"
      let unreadable = failure(GCPCredentials(.automatic, environment: environment))
      #expect(unreadable?.detail?.contains(path + "-away") == true)
      environment["GOOGLE_APPLICATION_CREDENTIALS"] = nil
      let none = failure(GCPCredentials(.automatic, environment: environment))
      #expect(none?.detail?.contains("127.0.0.1") == true)
      // A server that does not answer may do so in a moment.
      #expect(none?.isTransient == true)
      #expect(try GCPCredentials(.anonymous, environment: environment).token(Cancellation()) == nil)
    }
  }

  @Test("that are refused say why, and whether asking again can help")
  func refused() throws {
    try GoogleTokenServer.run { server in
      for (status, isTransient) in [(400, false), (503, true), (200, true)] {
        let keys = try GoogleKeyFile(server.directory, tokenAddress: server.endpoint + "/refuse/\(status)")
        let error = try #require(failure(GCPCredentials(.serviceAccount { keys.content }, environment: [:])))
        let report = ErrorReport(error).description
        #expect(error.isTransient == isTransient && !report.contains("PRIVATE"))
        #expect(status == 200 || report.contains("\(status) (invalid_grant: no such account)"))
      }
    }
  }

  @Test("need a key file of a service account with a key that signs, and none is ever shown")
  func keyFiles() throws {
    for text in [
      "", "{}", "secret-marked", #"{"type":"authorized_user","refresh_token":"secret-marked"}"#,
      #"{"type":"service_account","client_email":"a"}"#,
      #"{"type":"service_account","client_email":"a","private_key":"secret-marked","token_uri":"http://127.0.0.1:1"}"#,
    ] {
      let error = failure(GCPCredentials(.serviceAccount { Array(text.utf8) }, environment: [:]))
      guard case .keyFileInvalid? = error else {
        Issue.record("\(text)")
        continue
      }
      #expect(!"\(error!) \(ErrorReport(error!))".contains("marked"))
    }
    let token = GCPToken(Secret("secret-marked"), expires: .now())
    #expect(!"\(token) \(String(reflecting: token))".contains("marked"))
    let account = try GCPServiceAccount(
      keyFile: Array(#"{"type":"service_account","client_email":"a","private_key":"secret-marked"}"#.utf8))
    #expect(!"\(account) \(String(reflecting: account))".contains("marked"))
  }

  @Test("are none where the answer is broken, whatever bytes come")
  func broken() {
    let good = Array(#"{"access_token":"abc.def","expires_in":3599,"token_type":"Bearer"}"#.utf8)
    #expect(GCPToken.parse(good, at: .now()) != nil)
    for text in ["", "{}", #"{"access_token":"","expires_in":1}"#, #"{"access_token":"a\r\nb","expires_in":1}"#] {
      #expect(GCPToken.parse(Array(text.utf8), at: .now()) == nil, "\(text)")
    }
    for _ in 0..<5000 {
      // Any answer is right that is given: it must not crash, nor carry a line end into a request.
      let token = GCPToken.parse(Mutation.of(good), at: .now())
      #expect(token?.header.value.contains { $0.isNewline } != true)
    }
  }
}
