public import BackupModel
public import KeyManagement

/// The data keys of a repository by id.
public struct KeyRing: Sendable {
  public let repository: RepositoryID
  /// What new objects are sealed with.
  public let current: DataKey
  /// Who opened it: the name of an envelope.
  public let recipient: String
  /// By name. Whoever opens a repository tells of them.
  public let unopened: [Unopened]
  private let all: [KeyID: DataKey]

  /// An envelope for us that does not open, of a key that no other opens: what is sealed with it cannot be read. It is
  /// damaged, or somebody put it there.
  public struct Unopened: Sendable, Hashable {
    /// The object's name.
    public var envelope: String
    public var cause: ErrorReport
  }

  init(
    repository: RepositoryID, current: DataKey, others: [DataKey] = [], recipient: String, unopened: [Unopened] = []
  ) {
    self.repository = repository
    self.current = current
    self.recipient = recipient
    self.unopened = unopened
    all = Dictionary((others + [current]).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
  }
  func dataKey(_ id: KeyID) -> DataKey? { all[id] }
  var ids: [KeyID] { all.keys.sorted() }
}
