public import BackupModel

extension ClusterSettings {
  /// What libpq connects with: the configured words, and the password where it is kept.
  /// - Parameter credential: Reads a credential by its name: `Credentials.read(_:)` of the program.
  /// - Throws: ``ConfigurationError/secretUnreadable(source:problem:)``, or what `credential` throws.
  public func connectionString(credential: (String) throws -> Secret) throws -> Secret {
    try withPassword(connection, credential)
  }

  /// The same for ``standby``; nil where there is none.
  public func standbyConnectionString(credential: (String) throws -> Secret) throws -> Secret? {
    try standby.map { try withPassword($0, credential) }
  }

  private func withPassword(_ text: String, _ credential: (String) throws -> Secret) throws -> Secret {
    guard let password else { return Secret(text) }
    return try password.added(to: text, credential)
  }
}

extension HealthSettings {
  /// What libpq connects to ``server`` with; nil where there is none.
  /// - Throws: As ``ClusterSettings/connectionString(credential:)``.
  public func serverConnectionString(credential: (String) throws -> Secret) throws -> Secret? {
    try server.map { text in try serverPassword?.added(to: text, credential) ?? Secret(text) }
  }
}

extension SecretSource {
  /// A connection string with the password that is kept here.
  fileprivate func added(to text: String, _ credential: (String) throws -> Secret) throws -> Secret {
    let password = try read(credential: credential).revealText()
    let quoted = password.map { $0 == "\\" || $0 == "'" ? "\\\($0)" : String($0) }.joined()
    // An address cannot take further words; it takes the password as a parameter.
    if text.contains("://") {
      let encoded = password.utf8.map { "%" + Hexadecimal.padded(UInt64($0), digits: 2, uppercase: true) }.joined()
      return Secret(text + (text.contains("?") ? "&" : "?") + "password=" + encoded)
    }
    return Secret(text + " password='\(quoted)'")
  }
}
