extension ConfigurationReference {
  /// A key as its declaration describes it.
  public struct KeyDescription: Sendable, Hashable {
    /// `jobs.<job>.keep`; names in angle brackets are the operator's to choose.
    public var path: String
    public var type: String
    public var range: String?
    /// As it would be written in the file, or in words; nil where nothing is set.
    public var standard: String?
    public var isRequired: Bool
    public var sentence: String
  }

  /// The keys that `explain` would describe, in the order of the reference.
  /// - Throws: ``ConfigurationError/keyUnknown(_:suggestion:)``.
  public static func keys(_ key: String? = nil) throws(ConfigurationError) -> [KeyDescription] {
    let all = sections.flatMap { section in
      section.keys.filter { !$0.isRefused }.map { declared in
        KeyDescription(
          path: section.path + "." + declared.name, type: plain(declared.type), range: declared.range.map(plain),
          standard: declared.defaultText.map(plain), isRequired: declared.isRequired, sentence: plain(declared.sentence)
        )
      }
    }
    guard let key else { return all }
    if let path = declaredPath(of: key) { return [all.first { $0.path == path }].compactMap { $0 } }
    let below = all.filter { matches(Array($0.path.split(separator: ".").dropLast()), key) }
    if below.isEmpty { _ = try explain(key) }
    return below
  }
}
