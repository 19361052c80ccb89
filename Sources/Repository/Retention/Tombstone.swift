public import BackupModel
internal import BlockingWork
internal import Storage

/// A word on a backup's deletion: `tombstones/<backup-id>-<n>`. The one with the highest number counts.
public struct Tombstone: Sendable, Hashable, Codable {
  public enum Action: String, Sendable, Hashable, Codable { case delete, undelete }

  public var format = 1
  public var backup: BackupID
  public var number: Int
  public var action: Action
  /// For people.
  public var reason: String
  public var at: Timestamp

  init(backup: BackupID, number: Int, action: Action, reason: String, at: Timestamp) {
    self.backup = backup
    self.number = number
    self.action = action
    self.reason = reason
    self.at = at
  }
}

/// `<backup-id>-<n>`, `n` from 1: how tombstones and checkpoints are named.
struct NumberedBackup: Hashable, Comparable {
  var backup: BackupID
  var number: Int

  init(backup: BackupID, number: Int) {
    self.backup = backup
    self.number = number
  }

  /// Nil for any other form.
  init?(component: String) {
    guard let dash = component.lastIndex(of: "-"),
      let number = NameNumber.parse(component[component.index(after: dash)...]),
      let backup = try? BackupID(String(component[..<dash]))
    else { return nil }
    self.init(backup: backup, number: number)
  }

  static func < (a: Self, b: Self) -> Bool { (a.backup, a.number) < (b.backup, b.number) }
}

/// The numbers, from 1, in names of tombstones, checkpoints and acceptances.
enum NameNumber {
  /// Nobody counts so far, and anybody who can write to a store can put an object with any number there.
  static let highest = 1_000_000

  /// Nil for any other form.
  static func parse(_ text: some StringProtocol) -> Int? {
    guard let number = Int(text), (1...highest).contains(number), text == "\(number)" else { return nil }
    return number
  }
}

/// Which backups of a lineage are deleted, by what all stores say together.
public struct Deletions: Sendable {
  private struct Word {
    var number: Int
    /// Nil where it cannot be read: a backup is never taken for deleted on a guess.
    var tombstone: Tombstone?
    /// When a store says it was written; the latest of them.
    var written: Timestamp?
  }

  private var words: [BackupID: Word] = [:]

  /// - Throws: `StorageError` where no store answers.
  public init(_ repository: Repository, _ lineage: Lineage) throws {
    try self.init(repository, lineage) { _ in true }
  }

  /// What is said of one backup, without reading what is said of others.
  init(_ repository: Repository, _ lineage: Lineage, of backup: BackupID) throws {
    try self.init(repository, lineage) { $0 == backup }
  }

  private init(_ repository: Repository, _ lineage: Lineage, where isWanted: (BackupID) -> Bool) throws {
    for (_, listing) in try repository.listings(below: lineage.tombstonesPrefix) {
      for object in listing.objects {
        guard let name = NumberedBackup(component: object.name.lastComponent), isWanted(name.backup) else { continue }
        var word = words[name.backup] ?? Word(number: 0)
        if name.number > word.number { word = Word(number: name.number) }
        if name.number == word.number { word.written = [word.written, object.modified].compactMap { $0 }.max() }
        words[name.backup] = word
      }
    }
    for (backup, word) in words {
      let name = lineage.tombstone(backup, word.number)
      guard let read = try? repository.readDocument(Tombstone.self, name), read.backup == backup,
        read.number == word.number
      else { continue }
      words[backup]?.tombstone = read
    }
  }

  /// Backups somebody has said something about.
  var backups: [BackupID] { words.keys.sorted() }

  /// What deletes a backup; nil where it is not deleted.
  public func tombstone(of backup: BackupID) -> Tombstone? {
    words[backup]?.tombstone.flatMap { $0.action == .delete ? $0 : nil }
  }

  /// When the deletion began to count: the later of what the writer's clock and the stores' clocks say.
  func deleted(_ backup: BackupID) -> Timestamp? {
    tombstone(of: backup).map { max($0.at, words[backup]?.written ?? $0.at) }
  }

  /// The next word on a backup has this number; nil where somebody has put the last there can be.
  func next(_ backup: BackupID) -> Int? {
    let number = words[backup]?.number ?? 0
    return number < NameNumber.highest ? number + 1 : nil
  }
}
