import Foundation

/// A parser of what comes from a disk, a network or a socket, as libFuzzer calls it: whatever the bytes are, it must
/// neither trap nor take long.
struct FuzzTarget: Sendable {
  let name: String
  /// Good inputs, from which libFuzzer begins.
  let seeds: [[UInt8]]
  let run: @Sendable ([UInt8]) throws -> Void

  init(_ name: String, seeds: [[UInt8]], _ run: @escaping @Sendable ([UInt8]) throws -> Void) {
    (self.name, self.seeds, self.run) = (name, seeds, run)
  }

  init(_ name: String, text: [String], _ run: @escaping @Sendable ([UInt8]) throws -> Void) {
    self.init(name, seeds: text.map { Array($0.utf8) }, run)
  }

  static var all: [FuzzTarget] { ofNetwork + ofRepository + ofState + ofServer }

  /// Writes the seeds of each target into a directory of its name, and the names to standard output.
  static func writeSeeds(to directory: String) throws {
    for target in all {
      let path = directory + "/" + target.name
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      for (number, seed) in target.seeds.enumerated() {
        try Data(seed).write(to: URL(filePath: "\(path)/seed-\(number)"))
      }
      print(target.name)
    }
  }
}
