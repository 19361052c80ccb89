internal import Repository
import Synchronization

/// One shipment's bytes, shared by the lanes that carry it to several stores at once.
final class ShipmentBytes: Sendable {
  /// Nil where it is made, or read, when it is needed.
  let index: WALIndex?
  private let openFile: @Sendable () throws -> LandedBytes
  private let opened = Mutex<LandedBytes?>(nil)
  private let buffer = Mutex<SealedBuffer?>(nil)

  init(index: WALIndex? = nil, _ openFile: @escaping @Sendable () throws -> LandedBytes) {
    self.index = index
    self.openFile = openFile
  }

  /// As they lie here. Opened once: the file may be renamed or removed meanwhile.
  func plain() throws -> LandedBytes {
    try opened.withLock { known in
      if let known { return known }
      let bytes = try openFile()
      known = bytes
      return bytes
    }
  }

  var isSealed: Bool { buffer.withLock { $0 != nil } }

  /// Sealed once, by the lane that comes first: every store gets the same bytes. The others wait for it.
  func sealed(by seal: () throws -> SealedBuffer) throws -> SealedBuffer {
    try buffer.withLock { known in
      if let known { return known }
      let made = try seal()
      known = made
      return made
    }
  }
}

/// The bytes of what is on its way, for as long as some lane works on it.
struct SharedBytes {
  private struct Entry {
    var bytes: ShipmentBytes
    var lanes: Int
  }
  private var entries: [Shipment: Entry] = [:]

  mutating func join(_ shipment: Shipment, _ make: () -> ShipmentBytes) -> ShipmentBytes {
    let bytes = entries[shipment]?.bytes ?? make()
    entries[shipment, default: Entry(bytes: bytes, lanes: 0)].lanes += 1
    return bytes
  }

  mutating func leave(_ shipment: Shipment) {
    entries[shipment]?.lanes -= 1
    if entries[shipment]?.lanes == 0 { entries[shipment] = nil }
  }
}
