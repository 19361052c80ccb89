import BackupModel
import Yams

extension ValueType where Value == RepositorySettings.Encryption {
  static let encryption = ValueType(
    name: "`none`, `{key-file: PATH}`, `{aws-kms: KEY, region: REGION}`, or a list of these", range: nil
  ) { place in
    switch place.node {
    case .sequence(let nodes):
      if nodes.isEmpty { place.report("must name at least one recipient of the data key") }
      let places = nodes.enumerated().map { place.element($0.element, $0.offset) }
      let recipients = places.map { ValueType<RepositorySettings.KeyRecipient>.recipient.read($0) }
      for (index, recipient) in recipients.enumerated() where recipient != nil {
        if let first = recipients[..<index].firstIndex(where: { $0?.isSameKey(as: recipient) == true }) {
          places[index].report("is the key of entry \(first + 1) as well")
        }
      }
      let read = recipients.compactMap(\.self)
      return read.isEmpty || read.count < recipients.count ? nil : .wrapped(read)
    case .mapping: return ValueType<RepositorySettings.KeyRecipient>.recipient.read(place).map { .wrapped([$0]) }
    default:
      if place.plainText == "none" { return RepositorySettings.Encryption.none }
      place.report("must be none, {key-file: PATH}, {aws-kms: KEY, region: REGION} or a list of these")
      return nil
    }
  }
}

extension RepositorySettings.KeyRecipient {
  /// Under whatever endpoint and credentials.
  fileprivate func isSameKey(as other: Self?) -> Bool {
    switch (self, other) {
    case (.keyFile(let path), .keyFile(let other)): path == other
    case (.awsKMS(let key), .awsKMS(let other)): (key.key, key.region) == (other.key, other.region)
    default: false
    }
  }
}

extension ValueType where Value == RepositorySettings.KeyRecipient {
  /// One of those the data key is wrapped for.
  static let recipient = ValueType(name: "recipient", range: nil) { place in
    if case .scalar = place.node {
      place.report("must be {key-file: PATH} or {aws-kms: KEY, region: REGION}, not \(place.shape)")
      return nil
    }
    guard let reader = MappingReader(place, keys: EncryptionKeys.section.keys) else { return nil }
    guard reader.has(EncryptionKeys.keyFile) != reader.has(EncryptionKeys.awsKMS) else {
      // What is refused or unknown in it has been reported.
      if place.isFine { place.report("must name exactly one of key-file and aws-kms") }
      return nil
    }
    if reader.has(EncryptionKeys.awsKMS) { return kms(reader).map { .awsKMS($0) } }
    for (name, isThere) in [
      ("region", reader.has(EncryptionKeys.region)), ("endpoint", reader.has(EncryptionKeys.endpoint)),
      ("credentials", reader.has(EncryptionKeys.credentials)),
    ] where isThere { place.report("\"\(name)\" goes with aws-kms") }
    return reader.value(EncryptionKeys.keyFile).map { .keyFile($0) }
  }

  private static func kms(_ reader: MappingReader) -> AWSKMSSettings? {
    let key = reader.value(EncryptionKeys.awsKMS)
    let region = reader.value(EncryptionKeys.region)
    let endpoint = reader.value(EncryptionKeys.endpoint)
    let credentials = reader.value(EncryptionKeys.credentials)
    let named = key.flatMap(AWSNames.region(ofARN:))
    if let region, let named, region != named {
      reader.place(of: EncryptionKeys.region).report("is not the region of the key's ARN, \"\(named)\"")
      return nil
    }
    guard let key, let region = region ?? named else {
      if key != nil, !reader.has(EncryptionKeys.region) { reader.place.report("the key \"region\" is missing") }
      return nil
    }
    return AWSKMSSettings(key: key, region: region, endpoint: endpoint, credentials: credentials)
  }
}

/// How Amazon names things.
enum AWSNames {
  /// `arn:aws:kms:eu-west-1:111122223333:key/…`; nil for what is no ARN.
  static func region(ofARN text: String) -> String? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    return parts.count == 6 && parts[0] == "arn" && parts[2] == "kms" ? String(parts[3]) : nil
  }

  static func isRegion(_ text: some StringProtocol) -> Bool {
    text.contains("-")
      && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
  }

  /// - SeeAlso: AWS, "Key identifiers (KeyId)".
  static func isKMSKey(_ text: String) -> Bool {
    let name = text.hasPrefix("arn:") ? String(text.split(separator: ":").last ?? "") : text
    if text.hasPrefix("arn:"), region(ofARN: text).map(isRegion) != true { return false }
    if name.hasPrefix("alias/") {
      return name.utf8.count > 6 && name.utf8.allSatisfy { isWord($0) || $0 == 0x2F || $0 == 0x5F }
    }
    let id = text.hasPrefix("arn:") ? (name.hasPrefix("key/") ? name.dropFirst(4) : "") : name[...]
    return id.utf8.count >= 32 && id.utf8.allSatisfy(isWord)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
  }
}

extension ValueType where Value == String {
  static let kmsKey = ValueType(name: "alias, id or ARN", range: nil) { place in
    guard let text = place.text(expected: "a key of AWS KMS") else { return nil }
    guard AWSNames.isKMSKey(text) else {
      place.report(
        "\"\(text)\" does not name a key of AWS KMS", advice: "write alias/NAME, the key's id or its whole ARN")
      return nil
    }
    return text
  }

  static let region = ValueType(name: "region", range: nil) { place in
    guard let text = place.text(expected: "a region") else { return nil }
    guard AWSNames.isRegion(text) else {
      place.report("\"\(text)\" is not a region", advice: "write it as AWS does, such as us-east-1")
      return nil
    }
    return text
  }

  /// The data key goes there and comes from there: in the clear only to this host.
  static let kmsEndpoint = ValueType(name: "URL", range: nil) { place in
    guard let text = place.text(expected: "a URL") else { return nil }
    let rest = text.hasPrefix("https://") ? text.dropFirst(8) : text.hasPrefix("http://") ? text.dropFirst(7) : ""
    let host = rest.hasSuffix("/") ? rest.dropLast() : rest
    guard !host.isEmpty, !host.contains(where: { "/?#@ ".contains($0) }) else {
      place.report("\"\(text)\" is not the URL of an endpoint", advice: "write https://HOST or https://HOST:PORT")
      return nil
    }
    let isLocal = ["127.", "localhost", "[::1]"].contains { host.hasPrefix($0) }
    if text.hasPrefix("http://"), !isLocal {
      place.report("would send the data key over the network in the clear", advice: "write https://\(host)")
      return nil
    }
    return text
  }
}
