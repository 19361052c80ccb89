internal import BackupModel

/// What a dump in pg_dump's custom format holds, read from its beginning as the bytes come.
///
/// - SeeAlso: PostgreSQL source, `pg_backup_archiver.c`, `WriteHead` and `WriteToc`; archive versions 1.14 to 1.16.
struct ArchiveContents {
  /// Oids of the tables whose definitions are in it.
  private(set) var tables: Set<UInt32> = []
  /// Oids of the tables whose rows are in it, in their order.
  private(set) var rows: [UInt32] = []
  /// Commands that drop its foreign keys.
  private(set) var foreignKeyDrops: [String] = []
  private(set) var isComplete = false

  private var rest: [UInt8] = []
  private var format: Format?
  private var left = 0

  private struct Format {
    var minor: UInt8
    var integerSize: Int
    var offsetSize: Int
  }

  init() {}

  /// One that is known already.
  init(rows: [UInt32]) {
    self.rows = rows
    isComplete = true
  }

  struct Malformed: OperatorError {
    var what: String
    var summary: String { "could not read the table of contents of a dump" }
    var detail: String? { "Of pg_dump's output, \(what)." }
    var hint: String? { nil }
  }
  /// The bytes end within something.
  private struct More: Error {}

  private static let classOfClasses: UInt32 = 1259

  /// - Parameter bytes: Those that follow the ones taken before.
  /// - Throws: ``Malformed``.
  mutating func take(_ bytes: UnsafeRawBufferPointer) throws {
    guard !isComplete else { return }
    rest.append(contentsOf: bytes)
    var used = 0
    defer {
      rest.removeFirst(used)
      if isComplete { rest = [] }
    }
    do {
      if format == nil {
        var reader = Reader(bytes: rest)
        (format, left) = try reader.header()
        used = reader.position
      }
      while left > 0 {
        var reader = Reader(bytes: rest, position: used, format: format)
        note(try reader.entry())
        used = reader.position
        left -= 1
      }
      isComplete = true
    } catch is More {
      // The rest of it comes with the next bytes.
    }
  }

  private mutating func note(_ entry: Entry) {
    switch entry.description {
    case "TABLE" where entry.catalog == Self.classOfClasses: tables.insert(entry.oid)
    case "TABLE DATA": rows.append(entry.oid)
    case "FK CONSTRAINT": foreignKeyDrops.append(entry.drop)
    default: break
    }
  }

  private struct Entry {
    var catalog: UInt32
    var oid: UInt32
    var description: String
    var drop: String
  }

  private struct Reader {
    var bytes: [UInt8]
    var position = 0
    var format: Format?

    mutating func byte() throws -> UInt8 {
      guard position < bytes.count else { throw More() }
      defer { position += 1 }
      return bytes[position]
    }

    /// A byte that is not 0 for what is negative, then the absolute value, the lowest byte first.
    mutating func integer() throws -> Int {
      let isNegative = try byte() != 0
      var value = 0
      for index in 0..<(format?.integerSize ?? 4) { value |= Int(try byte()) << (8 * index) }
      return isNegative ? -value : value
    }

    mutating func skipText() throws -> Bool {
      let count = try integer()
      guard count >= 0 else { return false }
      guard bytes.count - position >= count else { throw More() }
      position += count
      return true
    }

    mutating func text() throws -> String {
      let start = position
      guard try skipText() else { return "" }
      return String(decoding: bytes[(start + 1 + (format?.integerSize ?? 4))..<position], as: UTF8.self)
    }

    /// - Returns: The format, and how many entries follow.
    mutating func header() throws -> (Format, Int) {
      guard bytes.count >= 11 else { throw More() }
      guard bytes.starts(with: "PGDMP".utf8) else { throw Malformed(what: "it does not begin as an archive does") }
      let found = Format(minor: bytes[6], integerSize: Int(bytes[8]), offsetSize: Int(bytes[9]))
      guard bytes[5] == 1, (14...16).contains(found.minor), found.integerSize == 4, (4...8).contains(found.offsetSize),
        bytes[10] == 1
      else { throw Malformed(what: "its archive version \(bytes[5]).\(bytes[6]) is not known here") }
      format = found
      position = 11
      // How it is compressed; then the time in seven numbers, the database and two versions.
      if found.minor >= 15 { _ = try byte() } else { _ = try integer() }
      for _ in 0..<7 { _ = try integer() }
      for _ in 0..<3 { _ = try skipText() }
      let count = try integer()
      guard count >= 0 else { throw Malformed(what: "it has \(count) entries") }
      return (found, count)
    }

    mutating func entry() throws -> Entry {
      guard let format else { throw More() }
      _ = try integer()
      _ = try integer()
      let catalog = try oid()
      let object = try oid()
      _ = try skipText()
      let description = try text()
      _ = try integer()
      _ = try skipText()
      let drop = try text()
      // COPY, schema, tablespace, access method; then the kind of relation; then owner, and whether it had oids.
      for _ in 0..<4 { _ = try skipText() }
      if format.minor >= 16 { _ = try integer() }
      for _ in 0..<2 { _ = try skipText() }
      while try skipText() {}
      guard bytes.count - position >= 1 + format.offsetSize else { throw More() }
      position += 1 + format.offsetSize
      return Entry(catalog: catalog, oid: object, description: description, drop: drop)
    }

    private mutating func oid() throws -> UInt32 {
      let word = try text()
      guard let oid = UInt32(word) else { throw Malformed(what: "\"\(word)\" is no oid") }
      return oid
    }
  }
}
