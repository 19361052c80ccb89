internal import BackupModel
internal import Transfer

extension ObjectStore {
  /// Says what was wanted of which object.
  func calling<Result>(_ action: String, _ name: ObjectName?, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as StorageError {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      let isLasting = (error as? any RemoteError)?.isTransient == false
      throw StorageError.failed(
        action, name, in: location, cause: ErrorReport(error), retry: isLasting ? .useless : .mayHelp)
    }
  }

  /// A pack may lie where it is dear to read; everything else must be readable at once.
  func isPack(_ name: String) -> Bool { name.split(separator: "/").dropLast().last == "packs" }
}

/// A store whose server speaks HTTP and knows objects by keys, in a bucket that may hold others' as well.
protocol HTTPStore: ObjectStore {
  /// Components before every object's name, without slashes at its ends; empty for none.
  var prefix: String { get }
}

extension HTTPStore {
  /// The key of an object; of the store's own beginning for an empty name.
  func key(_ name: String) -> String {
    if prefix.isEmpty { return name }
    return name.isEmpty ? prefix : prefix + "/" + name
  }

  /// What the keys of everything below a prefix begin with.
  func start(below prefix: String) -> String {
    let below = key(prefix)
    return below.isEmpty ? "" : below + "/"
  }

  /// The name behind a key of this store; nil for what is not a name of ours, and so somebody else's.
  func name(ofKey key: String) -> ObjectName? {
    ObjectName(prefix.isEmpty ? key : String(key.dropFirst(prefix.count + 1)))
  }

  /// Whether a response to a ranged `GET` holds what it says, and says that it begins where it was to begin. An object that
  /// ends early is such an answer; what was cut off on its way, or came with a success that is none, is not.
  func isPart(_ response: HTTPResponse, at offset: Int64, of count: Int) -> Bool {
    guard response.isSuccess else { return true }
    guard let range = response.headers["content-range"] else {
      // The whole object, from a server that does not know ranges.
      return response.status == 200 && response.received == count
    }
    let numbers = range.split { !("0"..."9").contains($0) }.compactMap { Int64($0) }
    return numbers.count >= 2 && numbers[0] == offset && numbers[1] - offset + 1 == Int64(response.received)
  }

  /// Of what size a response to a `GET` of the last `count` bytes says the object is; nil where it is not just these.
  func suffixSize(_ response: HTTPResponse, of count: Int) -> Int64? {
    guard response.isSuccess, let range = response.headers["content-range"] else { return nil }
    let numbers = range.split { !("0"..."9").contains($0) }.compactMap { Int64($0) }
    guard numbers.count == 3, case let size = numbers[2], numbers[1] == size - 1,
      numbers[0] == max(0, size - Int64(count)), size - numbers[0] == Int64(response.received)
    else { return nil }
    return size
  }

  /// Fills `buffer` from a response to a ranged `GET`.
  /// - Parameter get: Asks for the bytes that the value of a `Range` header names, into `buffer`; statuses 404 and 416 are
  ///   answers.
  func read(
    _ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer,
    get: (_ range: String) throws -> HTTPResponse
  ) throws {
    try calling("read", name) {
      if buffer.isEmpty { return try readNothing(name, at: offset) }
      let last = offset + Int64(buffer.count) - 1
      let response = try get("bytes=\(offset)-\(last)")
      if response.status == 404 { throw StorageError.missing(name, in: location) }
      let found = response.status == 416 ? 0 : response.received
      guard found == buffer.count else {
        throw StorageError.truncated(
          name, in: location, expected: last + 1,
          found: response.status == 416 ? try size(of: name) ?? 0 : offset + Int64(found))
      }
    }
  }
}

extension ObjectStore {
  /// No range says "no bytes": what is left to find out is whether there is such a place.
  func readNothing(_ name: ObjectName, at offset: Int64) throws {
    guard let size = try size(of: name) else { throw StorageError.missing(name, in: location) }
    guard offset <= size else { throw StorageError.truncated(name, in: location, expected: offset, found: size) }
  }
}

extension Listing {
  /// Takes the prefixes that a server names, `start` and all, as last components.
  mutating func addPrefixes(_ texts: [String], after start: String) {
    for text in texts where text.hasPrefix(start) && text.hasSuffix("/") {
      prefixes.append(String(text.dropFirst(start.count).dropLast()))
    }
  }

  /// In the order that is promised. What is written and tried out below `tmp` is none of the repository's.
  func arranged(below prefix: String) -> Listing {
    var listing = self
    if prefix.isEmpty { listing.prefixes.removeAll { $0 == "tmp" } }
    listing.objects.sort { $0.name < $1.name }
    listing.prefixes.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return listing
  }
}
