import BackupModel
import Recovery

#if canImport(Glibc)
  import Glibc
#endif

/// Thawing costs money and hours: a person is told how much, and asked.
enum ThawQuestion {
  /// `41 of 60 packs, 1.2 GiB, are to be thawed: …`.
  static func text(_ plan: ThawPlan) -> String {
    let frozen = plan.frozen
    let name = "class \(plan.classes), store \(plan.store)"
    guard !frozen.isEmpty else {
      return "\(plan.packs.count) packs of \(name): \(plan.readable.count) thawed, \(plan.thawing.count) thawing"
    }
    let dollars = String(Int((plan.dollars * 100).rounded(.up)))
    let padded = String(repeating: "0", count: max(0, 3 - dollars.count)) + dollars
    return "\(frozen.count) of \(plan.packs.count) packs of \(name), \(ThawPlan.bytes(of: frozen)), by tier "
      + "\(plan.tier.rawValue): \(duration(plan.minutes)), about $\(padded.dropLast(2)).\(padded.suffix(2)) "
      + "(an estimate by list prices of us-east-1; copies stay \(ThawPlan.days) days)"
  }

  private static func duration(_ minutes: ClosedRange<Int>) -> String {
    let (first, last) = (
      DurationText.format(.seconds(minutes.lowerBound * 60)),
      DurationText.format(.seconds(minutes.upperBound * 60))
    )
    return "\(first) to \(last)"
  }

  /// Asks where something has to be paid for.
  /// - Throws: `UsageError` without a terminal, and where the answer is not yes.
  static func ask(_ plan: ThawPlan) throws {
    if plan.frozen.isEmpty { return }
    guard Output.isTerminal(STDIN_FILENO), Output.isTerminal(STDERR_FILENO) else {
      throw UsageError(
        "cannot restore before packs are thawed, and nobody can be asked whether to",
        detail: "To be thawed: \(text(plan)).",
        hint: "Repeat the command with \"--thaw-tier \(plan.tier.rawValue) --yes\"; with \"--dry-run\" it only tells.")
    }
    ErrorOutput.write("To be thawed: \(text(plan)). Ask for it? [y/N] ", terminator: "")
    guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
      throw UsageError("not restored", detail: "The question was not answered with \"y\".")
    }
  }
}
