import BackupModel

/// A mapping that a reader of its own takes apart: the value is where it stands.
struct SectionPlace: Sendable {}

extension ValueType where Value == SectionPlace {
  static let section = ValueType(name: "mapping", range: nil) { _ in SectionPlace() }
}

extension ValueType where Value == [String] {
  /// One text, or a list of them.
  static let texts = ValueType(name: "text, or list of texts", range: nil) { place in
    guard case .sequence(let nodes) = place.node else { return ValueType<String>.text.read(place).map { [$0] } }
    if nodes.isEmpty { place.report("must not be empty", advice: "leave the key out") }
    let texts = nodes.enumerated().compactMap { ValueType<String>.text.read(place.element($1, $0)) }
    return texts.count == nodes.count && !texts.isEmpty ? texts : nil
  }
}

extension ValueType where Value == SecretSource {
  static let secret = ValueType(name: "place of a secret", range: nil) { place in
    if case .scalar = place.node {
      place.report(
        "a secret is never written here", advice: "write {file: PATH}, {credential: NAME} or {environment: NAME}")
      return nil
    }
    guard let reader = MappingReader(place, keys: SecretKeys.keys) else { return nil }
    let sources: [SecretSource?] = [
      reader.value(SecretKeys.file).map { .file($0) }, reader.value(SecretKeys.credential).map { .credential($0) },
      reader.value(SecretKeys.environment).map { .environment($0) },
    ]
    let given = [reader.has(SecretKeys.file), reader.has(SecretKeys.credential), reader.has(SecretKeys.environment)]
    guard given.filter({ $0 }).count == 1 else {
      place.report("must name exactly one of file, credential and environment")
      return nil
    }
    return sources.compactMap { $0 }.first
  }
}

extension ValueType where Value == String {
  /// Servers have classes of their own; of Amazon's names only the spelling is known to be wrong.
  static let storageClassName = ValueType(name: "storage class", range: nil) { place in
    guard let name = text.read(place) else { return nil }
    let meant = name.uppercased().replacing("-", with: "_")
    guard name != meant, knownClasses.contains(meant) else { return name }
    place.report("\"\(name)\" is no storage class", advice: "write \(meant)")
    return nil
  }
  private static let knownClasses: Set = [
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "NEARLINE",
    "COLDLINE", "ARCHIVE",
  ]
}

extension ValueType where Value == StorageClasses {
  static let storageClass = ValueType(name: "storage class, or mapping", range: nil) { place in
    if case .scalar = place.node {
      return StorageClassKeys.packs.type.read(place).map { StorageClasses(packs: $0, other: nil) }
    }
    guard let reader = MappingReader(place, keys: StorageClassKeys.keys) else { return nil }
    return StorageClasses(packs: reader.value(StorageClassKeys.packs), other: reader.value(StorageClassKeys.other))
  }
}

extension ValueType where Value == ObjectLockSettings {
  static let objectLock = ValueType(name: "mapping of `mode` and `for`", range: nil) { place in
    guard let reader = MappingReader(place, keys: ObjectLockKeys.keys) else { return nil }
    let mode = reader.value(ObjectLockKeys.mode)
    guard let period = reader.value(ObjectLockKeys.period), let mode else { return nil }
    return ObjectLockSettings(mode: mode, period: period)
  }
}

extension ValueType where Value == GCSPlace.Credentials {
  static let googleCredentials = ValueType(name: "place of a key file, or `none`", range: nil) { place in
    if case .scalar = place.node, place.plainText == "none" { return GCSPlace.Credentials.none }
    return ValueType<SecretSource>.secret.read(place).map { .serviceAccount($0) }
  }
}

extension ValueType where Value == AWSKeySources {
  static let awsKeys = ValueType(name: "places of keys", range: nil) { place in
    guard let reader = MappingReader(place, keys: AWSKeyKeys.keys) else { return nil }
    let token = reader.value(AWSKeyKeys.sessionToken)
    guard let access = reader.value(AWSKeyKeys.accessKey), let secret = reader.value(AWSKeyKeys.secretKey) else {
      return nil
    }
    return AWSKeySources(accessKey: access, secretKey: secret, sessionToken: token)
  }
}

extension ValueType where Value == RetentionPolicy {
  static let retention = ValueType(name: "span, or mapping", range: nil) { place in
    if case .scalar = place.node {
      return RetentionKeys.span.type.read(place).map { RetentionPolicy(spanSeconds: $0.components.seconds) }
    }
    guard let reader = MappingReader(place, keys: RetentionKeys.keys) else { return nil }
    let span = reader.value(RetentionKeys.span)
    let count = reader.value(RetentionKeys.count)
    let last = reader.value(RetentionKeys.last)
    if reader.has(RetentionKeys.count), reader.has(RetentionKeys.last) {
      place.report("\"count\" and \"last\" are the same: name one")
      return nil
    }
    var periods: [RetentionPeriod: Int] = [:]
    for (period, key) in RetentionKeys.periods { periods[period] = reader.value(key) }
    guard span != nil || count != nil || last != nil || !periods.isEmpty else {
      if place.problems.problems.isEmpty { place.report("must name a span or a count") }
      return nil
    }
    if reader.has(RetentionKeys.atLeast), span == nil {
      place.report("\"at-least\" goes with a span; \"count\" alone keeps so many")
      return nil
    }
    guard let atLeast = reader.value(RetentionKeys.atLeast) else { return nil }
    return RetentionPolicy(
      spanSeconds: span?.components.seconds, count: count ?? last, atLeast: atLeast, periods: periods)
  }
}

extension ValueType where Value == Bool {
  /// A switch that exists and cannot be turned on yet.
  static let notYet = ValueType(name: "`false`", range: nil) { place in
    guard let value = flag.read(place) else { return nil }
    if value { place.report("true is not supported by this version") }
    return value ? nil : value
  }
}
