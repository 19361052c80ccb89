public import BackupModel
import Foundation

/// How long a restore would take today, from what the last drills measured.
public struct RecoveryTime: Sendable, Hashable {
  /// Older drills say less of today's hosts and disks.
  public static let considered = 3

  public var seconds: Double
  /// A sentence: from which drill, at which sizes.
  public var basis: String

  /// The slowest of the last drills, scaled to today's size and WAL.
  ///
  /// - Parameters:
  ///   - bytes: Today's size of the files; nil where no backup is known.
  ///   - walBytes: WAL since the newest backup; nil where none is kept.
  /// - Returns: Nil where nothing was measured: a guess is not an answer.
  public static func estimate(
    _ measured: [MeasuredRecovery], bytes: ByteCount?, walBytes: ByteCount?
  ) -> RecoveryTime? {
    let last = measured.sorted { $0.at > $1.at }.prefix(considered)
    return last.map { scaled($0, bytes, walBytes) }.max { $0.seconds < $1.seconds }
  }

  private static func scaled(_ drill: MeasuredRecovery, _ bytes: ByteCount?, _ walBytes: ByteCount?) -> RecoveryTime {
    let restore = drill.restoreSeconds * ratio(bytes, drill.bytes)
    let replay = drill.replaySeconds * ratio(walBytes, drill.walBytes)
    var basis =
      "drill of \(drill.at): \(drill.bytes) in \(text(drill.restoreSeconds)), "
      + "\(drill.walBytes) of WAL in \(text(drill.replaySeconds)), started in \(text(drill.startSeconds))"
    let today = [bytes.map { "\($0)" }, walBytes.map { "\($0) of WAL" }].compactMap { $0 }
    if !today.isEmpty { basis += "; today \(today.joined(separator: " and "))" }
    return RecoveryTime(seconds: restore + replay + drill.startSeconds, basis: basis)
  }

  /// Part of a drill below this size was over before it could be timed: its duration is taken as it is.
  private static let smallest: Int64 = 1 << 20

  private static func ratio(_ today: ByteCount?, _ then: ByteCount) -> Double {
    guard let today, then.value >= smallest else { return 1 }
    return Double(max(today.value, 0)) / Double(then.value)
  }

  private static func text(_ seconds: Double) -> String {
    DurationText.format(.milliseconds(Int64(min(max(seconds, 0), 1e9) * 1000)))
  }
}
