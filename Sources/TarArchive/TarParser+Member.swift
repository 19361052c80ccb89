extension TarParser {
  /// The member a header and its extensions describe.
  func member(_ header: TarHeader, _ overrides: TarOverrides, _ place: TarPlace) throws(TarError) -> TarMember {
    let rawPath = overrides.path ?? header.name
    guard let path = TarPath.normalized(rawPath) else {
      throw .pathRefused(place, path: String(decoding: rawPath, as: UTF8.self))
    }
    var place = place
    place.member = path
    func field(_ value: Int64?, _ name: String, _ range: ClosedRange<Int64>) throws(TarError) -> Int64 {
      guard let value, range.contains(value) else { throw .fieldInvalid(place, field: name) }
      return value
    }
    let kind = try kind(header, rawPath, overrides.linkPath ?? header.linkName, place)
    // The limit leaves room for padding and offsets: nothing behind it can overflow.
    let size = try field(overrides.size ?? header.contentSize, "size", 0...(kind == .file ? 1 << 60 : 0))
    if kind != .directory, path == "." { throw .pathRefused(place, path: path) }
    return TarMember(
      path: path, kind: kind, size: size, mode: UInt32(try field(header.mode, "mode", 0...0o7_777_777) & 0o7777),
      modified: try field(overrides.modified ?? header.modified, "mtime", (-1 << 60)...(1 << 60)),
      user: try field(overrides.user ?? header.user, "uid", 0...(1 << 60)),
      group: try field(overrides.group ?? header.group, "gid", 0...(1 << 60)))
  }

  private func kind(
    _ header: TarHeader, _ path: [UInt8], _ linkPath: [UInt8], _ place: TarPlace
  ) throws(TarError) -> TarMember.Kind {
    switch header.type {
    // Before POSIX a directory was a file whose name ends in a slash.
    case 0 where path.last == UInt8(ascii: "/"): return .directory
    case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): return .file
    case UInt8(ascii: "5"): return .directory
    case UInt8(ascii: "2"):
      guard let target = TarPath.decoded(linkPath), !target.isEmpty else {
        throw .pathRefused(place, path: String(decoding: linkPath, as: UTF8.self))
      }
      return .symbolicLink(target: target)
    default: throw .kindRefused(place, type: Character(Unicode.Scalar(header.type)))
    }
  }
}
