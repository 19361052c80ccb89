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
      case .copy, .drill, .check: break
      }
    }
    return rules
  }

  /// What the copy jobs of a cluster keep, by the store they copy to.
  public func archiveRules(for cluster: ClusterID) -> [StoreID: RetentionRules] {
    var found: [StoreID: RetentionRules] = [:]
    for job in jobs where job.cluster == cluster {
      guard case .copy(let settings) = job.kind else { continue }
      var rules = RetentionRules(policies: [:], recoveryWindow: nil)
      rules.policies.updateValue(settings.keep, forKey: job.id)
      rules.owner = job.id
      found[settings.store] = rules
    }
    return found
  }
}
