import Foundation
import Glibc
import TestSupport
import Testing

@testable import Cryptography

@Suite("Memory of keys", .serialized) struct KeyMemoryTests {
  /// The flags of the mapping that holds an address, as the kernel shows them.
  private func flags(of address: UInt) throws -> [Substring] {
    var isOurs = false
    // The kernel gives it page by page, and Foundation takes the first one for all.
    for line in try Program.succeed("/bin/cat", ["/proc/\(getpid())/smaps"]).split(separator: "\n") {
      let range = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
      if range.count == 2 { isOurs = (range[0]..<range[1]).contains(address) }
      if isOurs, line.hasPrefix("VmFlags:") { return line.split(separator: " ") }
    }
    return []
  }

  @Test("is locked and left out of core dumps, and a key that went away is wiped")
  func regions() throws {
    let slot = KeyMemory.take()
    #expect((0..<SymmetricKey.size).allSatisfy { slot[$0] == 0 })
    let flags = try flags(of: UInt(bitPattern: slot))
    #expect(flags.contains("dd"), "\(flags)")
    // Where the limit lets us lock anything, the region is.
    let page = mmap(nil, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if mlock(page, 64 << 10) == 0 { #expect(flags.contains("lo"), "\(flags)") }
    munmap(page, 64 << 10)
    for index in 0..<SymmetricKey.size { slot[index] = 0xA5 }
    KeyMemory.give(slot)
    #expect((0..<SymmetricKey.size).allSatisfy { slot[$0] == 0 })
  }

  @Test("holds thousands of keys, from many threads, and none is mixed up with another")
  func many() {
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for round in 0..<20 {
        let bytes = (0..<500).map { [UInt8](repeating: UInt8(truncatingIfNeeded: thread * 31 + round + $0), count: 32) }
        let keys = bytes.map { SymmetricKey($0) }
        #expect(zip(keys, bytes).allSatisfy { $0.reveal() == $1 })
      }
    }
  }
}
