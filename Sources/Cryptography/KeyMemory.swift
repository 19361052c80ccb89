internal import COpenSSL
internal import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Memory for keys and nothing else: kept out of swap space where the limit allows it, and out of core dumps.
///
/// A region holds many keys, since what the kernel locks and leaves out is whole pages. Regions are never given back:
/// their number is that of the most keys that ever lived at the same time.
enum KeyMemory {
  private static let regionSize = 64 << 10
  /// Addresses of slots that are free.
  private static let free = Mutex<[UInt]>([])

  /// Room for one key, all zeros.
  static func take() -> UnsafeMutablePointer<UInt8> {
    let address = free.withLock { free -> UInt in
      if free.isEmpty { free = makeRegion() }
      return free.removeLast()
    }
    return UnsafeMutablePointer(bitPattern: address)!
  }

  /// Wipes a key and takes its room back.
  static func give(_ slot: UnsafeMutablePointer<UInt8>) {
    OPENSSL_cleanse(slot, SymmetricKey.size)
    free.withLock { $0.append(UInt(bitPattern: slot)) }
  }

  private static func makeRegion() -> [UInt] {
    let region = mmap(nil, regionSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let region, region != MAP_FAILED else { fatalError("out of memory") }
    // RLIMIT_MEMLOCK may not allow it: better a daemon whose keys may be swapped than none.
    _ = mlock(region, regionSize)
    // Kernels that do not know it dump the memory of processes that may be dumped; ours may not.
    _ = madvise(region, regionSize, MADV_DONTDUMP)
    let first = UInt(bitPattern: region)
    return stride(from: first, to: first + UInt(regionSize), by: SymmetricKey.size).reversed()
  }
}

/// Bytes that were secret, on their way between places.
public enum SecretBytes {
  /// Overwrites them; the compiler does not leave it out.
  public static func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
  }
}
