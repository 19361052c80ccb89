internal import BackupModel
internal import BlockingWork
internal import Checksums
internal import DurableFiles
internal import Repository
import Synchronization

/// What is to be read: a file, or a range of a large one that several workers share.
enum DirectTask: Sendable {
  case file(path: String, source: String, mode: UInt16, modified: Int64)
  case range(number: Int, path: String, source: SourceFile, offset: UInt64, length: Int)
}

/// What the workers of one direct backup share.
final class DirectWork: Sendable {
  let writer: BackupWriter
  let cancellation: Cancellation
  /// Nil where the cluster has no page checksums.
  let inspector: PageInspector?
  let pacer: Pacer?
  private let done = Atomic<Int64>(0)
  private let report: @Sendable (Int64) -> Void
  /// Often enough for a progress bar.
  private static let reportStep: Int64 = 8 << 20

  init(
    writer: BackupWriter, cancellation: Cancellation, inspector: PageInspector?, pacer: Pacer?,
    report: @escaping @Sendable (Int64) -> Void
  ) {
    self.writer = writer
    self.cancellation = cancellation
    self.inspector = inspector
    self.pacer = pacer
    self.report = report
  }

  func count(_ bytes: Int) {
    let after = done.add(Int64(bytes), ordering: .relaxed).newValue
    if after / Self.reportStep != (after - Int64(bytes)) / Self.reportStep { report(after) }
  }
}

/// Reads files of the running cluster and takes over or stores their pages. One per thread.
final class DirectWorker {
  private let work: DirectWork
  let worker: BackupWriter.Worker
  private let frame = PageFrame()
  private let torn: TornPages?

  init(_ work: DirectWork) throws {
    self.work = work
    worker = try BackupWriter.Worker(work.writer)
    torn = work.inspector.map { TornPages($0, work.cancellation) }
  }

  func run(_ task: DirectTask) throws {
    switch task {
    case .file(let path, let source, let mode, let modified):
      try readFile(path, source, mode: mode, modified: modified)
    case .range(let number, let path, let source, let offset, let length):
      try read(number, path, source, from: offset, length: length)
    }
  }

  private func readFile(_ path: String, _ source: String, mode: UInt16, modified: Int64) throws {
    guard let file = try SourceFile.open(source) else { return }
    let size = try file.size()
    var entry = ManifestFile(path: path, kind: .file, mode: mode, modified: modified)
    guard size > 0 else { return work.writer.add(entry) }
    entry.size = size
    let number = work.writer.beginFile(path)
    work.writer.announcePieces(of: number, count: Self.pieces(of: size))
    try read(number, path, file, from: 0, length: Int(size))
    try work.writer.endFile(number, entry)
  }

  /// Frames that a length takes.
  static func pieces(of length: UInt64) -> Int {
    Int((length + UInt64(SealedFormat.maximumFrame) - 1) / UInt64(SealedFormat.maximumFrame))
  }

  private func read(_ number: Int, _ path: String, _ source: SourceFile, from offset: UInt64, length: Int) throws {
    // A small file in the page cache is small there, too.
    let residency = length >= SealedFormat.maximumFrame ? source.residency(from: offset, length: length) : nil
    let firstBlock = RelationFile.firstBlock(path)
    torn?.source = source
    var position = 0
    while position < length {
      try work.cancellation.check()
      let count = min(length - position, SealedFormat.maximumFrame)
      if let pause = work.pacer?.pause(for: count), pause > .zero { try work.cancellation.sleep(pause) }
      try source.read(
        into: UnsafeMutableRawBufferPointer(start: frame.base, count: count), at: offset + UInt64(position))
      fill(
        number, path, firstPage: UInt32((offset + UInt64(position)) / UInt64(SealedFormat.slotSize)), count, firstBlock)
      try worker.process(frame, check: torn)
      work.count(count)
      position += count
    }
    if let residency { source.handBack(residency) }
  }

  private func fill(_ number: Int, _ path: String, firstPage: UInt32, _ count: Int, _ firstBlock: UInt32?) {
    let slots = (count + SealedFormat.slotSize - 1) / SealedFormat.slotSize
    let padding = slots * SealedFormat.slotSize - count
    if padding > 0 { (frame.base + count).initializeMemory(as: UInt8.self, repeating: 0, count: padding) }
    frame.clear()
    frame.slots = slots
    frame.pieces.append(
      PageFrame.Piece(
        file: number, path: path, firstPage: firstPage, slot: 0, count: slots, byteCount: count,
        firstBlock: firstBlock.map { $0 &+ firstPage }, checksums: true))
  }
}
