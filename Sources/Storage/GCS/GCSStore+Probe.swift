internal import BackupModel

extension GCSStore {
  /// Finds out what the server really does, and what the bucket is set to.
  public func probe() -> StoreProbe {
    StoreProbe.run(self) { probe, _ in probeBucket(&probe) }
  }

  private func probeBucket(_ probe: inout StoreProbe) {
    do {
      let bucket = try bucket()
      probe.addVersioning(bucket.isVersioned)
      if bucket.isVersioned { probe.addSweeping(bucket.isSwept) }
    } catch {
      probe.addUnknown("versioning", error)
    }
  }
}
