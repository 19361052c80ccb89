public import BackupModel
public import DaemonConfiguration
public import Repository

extension Configuration {
  /// What the jobs of a cluster promise to keep.
  public func retentionRules(for cluster: ClusterID) -> RetentionRules {
    var rules = RetentionRules(policies: [:], recoveryWindow: nil)
    for job in jobs where job.cluster == cluster {
      switch job.kind {
      case .physical(let settings): rules.policies.updateValue(settings.keep, forKey: job.id)
      case .logical(let settings): rules.policies.updateValue(settings.keep, forKey: job.id)
      case .wal(let settings): rules.recoveryWindow = settings.recoveryWindow
      }
    }
    return rules
  }
}
