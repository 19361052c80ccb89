internal import BackupModel
internal import Repository

/// The index of a segment, from its first byte on.
final class SegmentIndex {
  private var decoder: WALRecordDecoder

  init(_ segment: WALSegment, _ size: WALSegmentSize, _ systemIdentifier: SystemIdentifier) {
    decoder = WALRecordDecoder(
      from: WALPosition(timeline: segment.timeline, lsn: segment.start(size: size)), segmentSize: size,
      systemIdentifier: systemIdentifier)
  }

  /// - Throws: ``WALArchivingError/pageInvalid(_:_:)`` for a page that is not the one that belongs there.
  func feed(_ bytes: UnsafeRawBufferPointer) throws { try decoder.feed(bytes) }
  func take() -> WALIndex { decoder.takeIndex() }
}
