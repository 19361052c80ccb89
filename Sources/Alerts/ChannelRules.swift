public import BackupModel

/// What a channel tells, and when.
public struct ChannelRules: Sendable, Hashable {
  public var severity: Condition.Severity
  /// Nil for all. What is about no cluster is about each of them.
  public var clusters: [ClusterID]?
  /// Nil for all. What is about no tier is told by its cluster alone.
  public var tiers: [TierID]?
  public var quietHours: QuietHours?
  /// How long until what still holds is told once more; what comes and goes is soon told no more often.
  public var remind: Duration
  /// How long changes are gathered into one message. What is over before is not told at all.
  public var gather: Duration

  public init(
    severity: Condition.Severity = .warning, clusters: [ClusterID]? = nil, tiers: [TierID]? = nil,
    quietHours: QuietHours? = nil, remind: Duration = .seconds(4 * 3600), gather: Duration = .seconds(10)
  ) {
    self.severity = severity
    self.clusters = clusters
    self.tiers = tiers
    self.quietHours = quietHours
    self.remind = remind
    self.gather = gather
  }

  /// Whether the condition is this channel's to tell, as far as its subject goes.
  func concerns(_ condition: Condition) -> Bool {
    if let clusters, let cluster = condition.cluster, !clusters.contains(cluster) { return false }
    if let tiers, let tier = condition.tier, !tiers.contains(tier) { return false }
    return true
  }

  func holds(_ severity: Condition.Severity, at time: Timestamp) -> Bool {
    quietHours?.holds(severity, at: time) ?? false
  }
}
