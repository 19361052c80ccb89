import BackupModel
import BlockingWork
import Cryptography
import Foundation
import Synchronization

@testable import Repository

/// A file's content as a rule, so that large ones need no memory.
struct Content: Sendable {
  var path: String
  var size: Int
  /// Pages that were written again, and how often.
  var edits: [Int: Int] = [:]

  /// Does not compress, and differs from page to page of a frame.
  private static let noise: [UInt8] = {
    var generator = SystemRandomNumberGenerator()
    return (0..<(1 << 19)).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } }
  }()

  func fill(_ page: Int, _ buffer: UnsafeMutableRawBufferPointer) {
    let seed = path.utf8.reduce(7) { $0 &* 31 &+ Int($1) }
    let place = seed &+ page &* 8192 &+ (edits[page] ?? 0) &* 1_000_003
    let offset = Int(UInt(bitPattern: place) % UInt(Self.noise.count - 8192))
    Self.noise.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + 8192)]))
    }
    let used = min(8192, size - page * 8192)
    if used < 8192 {
      UnsafeMutableRawBufferPointer(rebasing: buffer[used...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  var checksum: UInt32 {
    var crc = CRC32C()
    withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 16) { buffer in
      for page in 0..<((size + 8191) / 8192) {
        fill(page, buffer)
        crc.update(UnsafeRawBufferPointer(rebasing: buffer[..<min(8192, size - page * 8192)]))
      }
    }
    return crc.value
  }
}

extension RepositoryFixture {
  /// Hands files to workers as a pipeline does, frame by frame, small files sharing frames.
  private func feed(_ writer: BackupWriter, _ contents: [Content], _ filled: BoundedRing<PageFrame>) throws {
    var frame = PageFrame()
    func handOver() throws {
      if frame.slots > 0 { try filled.push(frame) }
      frame = PageFrame()
    }
    for content in contents {
      let number = writer.beginFile(content.path)
      for page in 0..<((content.size + 8191) / 8192) {
        if frame.isFull { try handOver() }
        if frame.pieces.last?.file == number {
          frame.pieces[frame.pieces.count - 1].count += 1
          frame.pieces[frame.pieces.count - 1].byteCount += min(8192, content.size - page * 8192)
        } else {
          writer.announcePiece(of: number)
          frame.pieces.append(
            PageFrame.Piece(
              file: number, path: content.path, firstPage: UInt32(page), slot: frame.slots, count: 1,
              byteCount: min(8192, content.size - page * 8192), firstBlock: nil))
        }
        content.fill(page, UnsafeMutableRawBufferPointer(start: frame.base + frame.slots * 8192, count: 8192))
        frame.slots += 1
      }
      try writer.endFile(
        number,
        ManifestFile(
          path: content.path, kind: .file, mode: 0o600, modified: 5, size: UInt64(content.size),
          checksum: content.checksum))
    }
    try handOver()
    filled.close()
  }

  /// Writes files through workers and senders, without a commit.
  func store(
    _ contents: [Content], options: BackupWriter.Options = .init(), workers: Int = 2,
    cancellation: Cancellation = Cancellation(), begin: (BackupWriter) -> Void = { _ in }
  ) throws -> BackupWriter {
    let writer = try BackupWriter(
      repository: repository, lineage: lineage, options: options, cancellation: cancellation)
    begin(writer)
    let filled = BoundedRing<PageFrame>(capacity: 4)
    cancellation.addHandler { filled.abort() }
    let left = Mutex(workers)
    var bodies: [@Sendable () throws -> Void] = [{ try feed(writer, contents, filled) }]
    for _ in 0..<workers {
      bodies.append {
        let worker = try BackupWriter.Worker(writer)
        while let frame = try filled.pop() { try worker.process(frame) }
        try worker.finish()
        let isLast = left.withLock {
          $0 -= 1
          return $0 == 0
        }
        if isLast { try writer.finishPages() }
      }
    }
    bodies += writer.senders
    do {
      try runTogether(cancellation, label: "test", bodies)
    } catch {
      writer.discard()
      throw error
    }
    return writer
  }

  /// Reads a file back through its page map and the packs.
  func contentChecksum(_ file: ManifestFile, _ reader: BackupReader, _ packs: PackReader) throws -> UInt32? {
    let map = try reader.pageMap(of: file)
    var checksum = FileChecksum()
    for (number, frame) in map.frames.enumerated() {
      try packs.read(map.packs[Int(frame.pack)], [frame.location]) { _, bytes in
        for run in map.runs where run.frame == UInt32(number) {
          let start = Int(run.slot) * 8192
          let end = min(UInt64(run.firstPage + run.count) * 8192, file.size)
          let length = Int(end - UInt64(run.firstPage) * 8192)
          let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + length)])
          checksum.add(firstPage: run.firstPage, length: length, crc: FileChecksum.piece(piece))
        }
      }
    }
    return checksum.value(size: file.size)
  }
}
