public import BackupModel
internal import BlockingWork
internal import Transfer

extension SFTPStore {
  public func size(of name: ObjectName) throws -> Int64? {
    try calling("look for", name) { try trying { try find(name) } }
  }

  /// Bytes of an object; nil where it is missing, and the store is there.
  func find(_ name: ObjectName) throws -> Int64? {
    do {
      return try client.size(of: path(name.text), Cancellation())
    } catch let error as SFTPError where error.kind == .missing {
      try requireRoot("look for", name)
      return nil
    }
  }

  /// Nothing is "missing" from a root that is not there: a disk that the server has not mounted is no empty store.
  private func requireRoot(_ action: String, _ name: ObjectName?) throws {
    do {
      _ = try client.list(settings.path, Cancellation())
    } catch let error as SFTPError where error.kind == .missing {
      throw StorageError.failed(action, name, in: location, cause: ErrorReport(error), retry: .mayHelp)
    }
  }

  /// By our clock: to one that is wrong everything would be old, or nothing.
  public func modified(of name: ObjectName) throws -> Timestamp? {
    try calling("look for", name) {
      guard let ahead = try habits(Cancellation()).clockAhead else { return nil }
      do {
        let written = try trying { try client.modified(path(name.text), Cancellation()) }
        return written.map { $0 - ahead }
      } catch let error as SFTPError where error.kind == .missing {
        return nil
      }
    }
  }

  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try calling("read", name) {
      if buffer.isEmpty { return try readNothing(name, at: offset) }
      try trying { try fill(buffer, from: name, at: offset) }
    }
  }

  private func fill(_ buffer: UnsafeMutableRawBufferPointer, from name: ObjectName, at offset: Int64) throws {
    let end = offset + Int64(buffer.count)
    do {
      let count = try client.read(path(name.text), at: offset, into: buffer, Cancellation())
      guard count == buffer.count else {
        throw StorageError.truncated(name, in: location, expected: end, found: offset + Int64(count))
      }
    } catch let error as SFTPError where error.kind == .beyondEnd {
      throw StorageError.truncated(name, in: location, expected: end, found: try find(name) ?? 0)
    } catch let error as SFTPError where error.kind == .missing {
      try requireRoot("read", name)
      throw StorageError.missing(name, in: location)
    }
  }

  /// Whether an object is these bytes. Read in pieces: it may be a whole pack.
  func isContent(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    guard try find(name) == Int64(bytes.count) else { return false }
    var piece = [UInt8](repeating: 0, count: 4 << 20)
    var offset = 0
    while offset < bytes.count {
      let count = min(piece.count, bytes.count - offset)
      let isSame = try piece.withUnsafeMutableBytes { piece in
        let room = UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
        try fill(room, from: name, at: Int64(offset))
        return room.elementsEqual(bytes[offset..<(offset + count)])
      }
      guard isSame else { return false }
      offset += count
    }
    return true
  }

  public func list(below prefix: String) throws -> Listing {
    try calling("list", nil) {
      let entries = try trying { try self.entries(prefix) }
      var listing = Listing()
      for entry in entries {
        // Files that are not ours are left alone and not seen.
        guard let name = ObjectName(prefix.isEmpty ? entry.name : prefix + "/" + entry.name) else { continue }
        switch entry.kind {
        case .directory: listing.prefixes.append(entry.name)
        case .file: listing.objects.append(.init(name: name, size: entry.size))
        }
      }
      return listing.arranged(below: prefix)
    }
  }

  private func entries(_ prefix: String) throws -> [SFTPEntry] {
    do {
      let bytes = try client.list(prefix.isEmpty ? settings.path : path(prefix), Cancellation())
      guard let entries = SFTPEntry.parse(bytes) else {
        throw SFTPError(.unreadable, settings.login, reason: "It lists directories in another form than OpenSSH's.")
      }
      return entries
    } catch let error as SFTPError where error.kind == .missing {
      try requireRoot("list", nil)
      return []
    }
  }

  /// Removes what writers that died left below `tmp/`, once it is a day old.
  public func sweep() throws {
    try calling("sweep", nil) {
      let limit = Timestamp.now() - .seconds(86400)
      let old = try trying { try entries("tmp") }.filter { entry in
        guard entry.kind == .file, let written = Timestamp(compact: String(entry.name.prefix(16))) else { return false }
        return written < limit
      }
      if old.isEmpty { return }
      try trying { try client.run(old.map { .tryRemove(path("tmp/\($0.name)")) }, Cancellation()) }
    }
  }
}
