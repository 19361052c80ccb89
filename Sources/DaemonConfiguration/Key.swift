/// What a key's value may be: how it is called, what it may range over, how it is read.
struct ValueType<Value: Sendable>: Sendable {
  /// `duration`, `absolute path`.
  let name: String
  /// `1s to 1h`; nil where the type says it all.
  let range: String?
  /// Reads a value; reports what is wrong with it and gives nil then.
  let read: @Sendable (Place) -> Value?
}

/// One key of the configuration: the only place where its name, type, default and meaning are written down.
struct Key<Value: Sendable>: Sendable {
  let name: String
  let type: ValueType<Value>
  let presence: Presence
  let sentence: String

  enum Presence: Sendable {
    case required
    /// Nothing happens where it is missing, or what the sentence says.
    case optional
    /// Written as in the file, and read as if it stood there.
    case standard(String)
    /// Computed where it is missing, as the words say.
    case computed(String)
  }

  init(_ name: String, _ type: ValueType<Value>, _ presence: Presence, _ sentence: String) {
    self.name = name
    self.type = type
    self.presence = presence
    self.sentence = sentence
  }

  /// The declaration without its Swift type.
  var declaration: KeyDeclaration {
    var declaration = KeyDeclaration(name: name, type: type.name, range: type.range, sentence: sentence)
    switch presence {
    case .required: declaration.isRequired = true
    case .optional: break
    case .standard(let text): declaration.defaultText = "`\(text)`"
    case .computed(let text): declaration.defaultText = text
    }
    return declaration
  }
}

/// A key as the reference shows it.
struct KeyDeclaration: Sendable {
  var name: String
  var type: String
  var range: String?
  var defaultText: String?
  var isRequired = false
  var sentence: String
  /// Part of the grammar, and refused by this version rather than ignored.
  var isRefused = false

  static func refused(_ name: String) -> KeyDeclaration {
    KeyDeclaration(name: name, type: "", sentence: "", isRefused: true)
  }
}

/// A mapping of the file and the keys it may have.
struct Section: Sendable {
  /// `jobs.<job>`; names in angle brackets stand for names the operator chooses.
  let path: String
  let sentence: String
  let keys: [KeyDeclaration]
}
