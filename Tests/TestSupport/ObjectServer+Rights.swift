extension ObjectServer {
  /// Makes a user of Ceph's who has the rights of a policy and no other.
  /// - Parameter policy: As IAM takes it.
  public func makeUser(_ name: String, policy: String) throws -> (key: String, secret: String) {
    let keys = (key: "KEY\(name.uppercased())", secret: "secret-of-\(name)-0123456789")
    try administer(
      "user", "create", "--uid", name, "--display-name", name, "--access-key", keys.key, "--secret-key", keys.secret)
    try administer("caps", "add", "--uid", "backup", "--caps", "user-policy=*")
    try amazon(
      "iam.put_user_policy(UserName=words[0], PolicyName='store', PolicyDocument=words[1])", name, policy)
    return keys
  }

  private func administer(_ arguments: String...) throws {
    try Program.succeed("/usr/bin/radosgw-admin", ["-c", directory + "/ceph.conf"] + arguments, deadline: .seconds(60))
  }
}
