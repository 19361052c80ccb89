internal import BlockingWork

#if canImport(Glibc)
  import Glibc
#endif

/// Looks names up in the user database, which may be a directory server that takes its time: on a lane.
struct UserNames: Sendable {
  private let lane = Lane(label: "control.users")

  /// - Returns: Nil where there is no name, or cannot be found now.
  func name(ofUser id: UInt32) async -> String? {
    try? await lane.run { _ in
      var entry = passwd()
      return Self.lookUp { buffer, size in
        var found: UnsafeMutablePointer<passwd>?
        let code = getpwuid_r(id, &entry, buffer, size, &found)
        return (code, found.map { $0.pointee.pw_name })
      }
    }
  }

  func name(ofGroup id: UInt32) async -> String? {
    try? await lane.run { _ in
      var entry = group()
      return Self.lookUp { buffer, size in
        var found: UnsafeMutablePointer<group>?
        let code = getgrgid_r(id, &entry, buffer, size, &found)
        return (code, found.map { $0.pointee.gr_name })
      }
    }
  }

  private static func lookUp(
    _ body: (UnsafeMutablePointer<CChar>, Int) -> (CInt, UnsafeMutablePointer<CChar>??)
  ) -> String? {
    // A group with many members needs a large buffer.
    for size in [4096, 65_536, 1 << 20] {
      let result = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer -> (CInt, String?) in
        let (code, name) = body(buffer.baseAddress!, size)
        return (code, (name ?? nil).map { String(cString: $0) })
      }
      if result.0 != ERANGE { return result.1 }
    }
    return nil
  }
}
