internal import BackupModel

/// Appends integers little-endian.
struct ByteWriter {
  var bytes: [UInt8] = []

  mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }
  /// An id lies in the order of its printed digits.
  mutating func append(bigEndian id: RandomID) {
    withUnsafeBytes(of: id.high.bigEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: id.low.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

/// Reads what ``ByteWriter`` wrote. Nothing traps, whatever the bytes are.
struct ByteReader {
  /// The bytes end before the value does, or a value is not among those known.
  struct Malformed: Error {
    var what: String
  }
  let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var remaining: Int { bytes.count - position }

  mutating func integer<Value: FixedWidthInteger>(
    _ what: String, as type: Value.Type = Value.self
  ) throws(Malformed) -> Value {
    let size = MemoryLayout<Value>.size
    guard remaining >= size else { throw Malformed(what: "it ends within \(what)") }
    defer { position += size }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
  }
  mutating func id(_ what: String) throws(Malformed) -> RandomID {
    let high = try integer(what, as: UInt64.self)
    let low = try integer(what, as: UInt64.self)
    return RandomID(high: high.byteSwapped, low: low.byteSwapped)
  }
  mutating func take(_ count: Int, _ what: String) throws(Malformed) -> UnsafeRawBufferPointer {
    guard count >= 0, remaining >= count else { throw Malformed(what: "it ends within \(what)") }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
  }
}
