public import BackupModel

/// AWS KMS did not wrap or unwrap a data key.
public enum AWSKMSError: OperatorError {
  public enum Operation: Sendable, Hashable { case wrap, unwrap }

  /// No answer, also to the last of several attempts.
  case unreachable(AWSKMSKeyName, Operation, cause: ErrorReport)
  /// There is nothing to sign with.
  case credentialsMissing(AWSKMSKeyName, Operation, cause: ErrorReport)
  case refused(AWSKMSKeyName, Operation, AWSKMSRefusal)
  /// It agreed, and sent something else than the result.
  case answerUnusable(AWSKMSKeyName, Operation)

  private var key: AWSKMSKeyName {
    switch self {
    case .unreachable(let key, _, _), .credentialsMissing(let key, _, _), .refused(let key, _, _),
      .answerUnusable(let key, _):
      key
    }
  }
  private var operation: Operation {
    switch self {
    case .unreachable(_, let operation, _), .credentialsMissing(_, let operation, _), .refused(_, let operation, _),
      .answerUnusable(_, let operation):
      operation
    }
  }

  public var summary: String {
    switch operation {
    case .wrap: "could not wrap the repository's data key with \(key)"
    case .unwrap: "could not unlock the repository with \(key)"
    }
  }

  public var detail: String? {
    switch self {
    case .unreachable(_, _, let cause): "\(cause.summary): \(cause.detail ?? "no reason is known.")".capitalizedFirst
    case .credentialsMissing(_, _, let cause):
      "\(cause.summary)\(cause.detail.map { ": \($0)" } ?? ".")".capitalizedFirst
    case .refused(_, _, let refusal): "AWS answered \(refusal.text)"
    case .answerUnusable: "AWS answered 200 without the result."
    }
  }

  public var hint: String? {
    switch self {
    case .unreachable(_, _, let cause):
      cause.hint
        ?? "Check the network to AWS KMS in \(key.region), and \"region\" and \"endpoint\" of \"repository.encryption\"."
    case .credentialsMissing:
      "Name keys in \"credentials\" of \"repository.encryption\", or give the service AWS_ACCESS_KEY_ID and "
        + "AWS_SECRET_ACCESS_KEY, or the host a role."
    case .refused(_, _, let refusal): hint(for: refusal)
    case .answerUnusable: "Check \"endpoint\" of \"repository.encryption\": something else may answer there."
    }
  }

  /// - SeeAlso: AWS, "Decrypt", "Errors"; "Common errors".
  private func hint(for refusal: AWSKMSRefusal) -> String? {
    switch refusal.code {
    case "AccessDeniedException":
      "Allow kms:\(operation == .wrap ? "Encrypt" : "Decrypt") on this key, in its policy or that of the role; the "
        + "repository may also have been made with another key."
    case "NotFoundException":
      "Check \"aws-kms\" and \"region\" of \"repository.encryption\": there is no such key in \(key.region)."
    case "DisabledException", "KMSInvalidStateException":
      "Enable the key, or cancel its deletion; without it what was wrapped for it alone is lost."
    case "IncorrectKeyException":
      "The repository was made with another key; \"aws-kms\" may be an alias that was moved. Name the key by its ARN."
    case "InvalidCiphertextException":
      "The envelope was changed, or belongs to another repository. Bring it back from another store."
    case "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature", "InvalidClientTokenId",
      "ExpiredTokenException", "MissingAuthenticationTokenException":
      "Check the access key and the secret key, and this host's clock."
    default:
      refusal.isTransient ? "Wait, and try again: AWS KMS in \(key.region) is in trouble." : nil
    }
  }

  /// Asking it again for another envelope would only wait as long once more.
  public var isUnreachable: Bool {
    switch self {
    case .unreachable, .credentialsMissing: true
    case .refused(_, _, let refusal): refusal.isTransient
    case .answerUnusable: false
    }
  }
}

extension String {
  fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
