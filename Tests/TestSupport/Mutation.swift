/// Good bytes made bad at random.
public enum Mutation {
  /// One to four bytes changed, taken out or doubled.
  public static func of(_ good: [UInt8]) -> [UInt8] {
    var bytes = good
    for _ in 0..<Int.random(in: 1...4) where !bytes.isEmpty {
      let index = bytes.indices.randomElement()!
      switch Int.random(in: 0...2) {
      case 0: bytes[index] = UInt8.random(in: 0...255)
      case 1: bytes.remove(at: index)
      default: bytes.insert(bytes[index], at: index)
      }
    }
    return bytes
  }
}
