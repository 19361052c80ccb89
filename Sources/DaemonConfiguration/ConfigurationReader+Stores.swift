import BackupModel

extension ConfigurationReader {
  /// - Returns: The store, and where it says what it is.
  func readStore(_ id: StoreID, _ place: Place) -> Placed<StoreSettings>? {
    guard let reader = MappingReader(place, keys: StoreKeys.section.keys) else { return nil }
    let durability = reader.value(StoreKeys.durability)
    let keep = reader.value(StoreKeys.keep)
    let bandwidth = reader.value(StoreKeys.bandwidth)
    let timeout = reader.value(StoreKeys.timeout)
    let lock = reader.value(StoreKeys.lock)
    let found = readPlace(reader)
    guard let durability, let timeout, let found else { return nil }
    if case .directory = found {
      if bandwidth != nil {
        reader.place(of: StoreKeys.bandwidth).report("a directory of this host has no line to spare")
      }
      if reader.has(StoreKeys.timeout) {
        reader.place(of: StoreKeys.timeout).report("a directory of this host has no line that could stall")
      }
    }
    if reader.has(StoreKeys.lock) {
      guard case .s3 = found else {
        reader.place(of: StoreKeys.lock).report("goes with s3: only a bucket of S3 locks objects")
        return nil
      }
    }
    return Placed(
      value: StoreSettings(
        id: id, place: found, durability: durability, keep: keep, bandwidth: bandwidth, timeout: timeout, lock: lock),
      place: kindPlace(reader))
  }

  private func kindPlace(_ reader: MappingReader) -> Place {
    if reader.has(StoreKeys.path) { return reader.place(of: StoreKeys.path) }
    let sections = [StoreKeys.s3, StoreKeys.gcs, StoreKeys.sftp]
    return sections.first { reader.has($0) }.map { reader.place(of: $0) } ?? reader.place
  }

  /// Exactly one kind of place.
  private func readPlace(_ reader: MappingReader) -> StorePlace? {
    let given = [
      reader.has(StoreKeys.path), reader.has(StoreKeys.s3), reader.has(StoreKeys.gcs), reader.has(StoreKeys.sftp),
    ]
    guard given.filter({ $0 }).count == 1 else {
      // A kind of another version was reported as that.
      let names = (MappingReader.pairs(reader.place) ?? []).map(\.name)
      if given.contains(true) || !names.contains("azure") {
        reader.place.report("must name exactly one of path, s3, gcs and sftp")
      }
      return nil
    }
    if reader.has(StoreKeys.path) { return reader.value(StoreKeys.path).map { .directory($0) } }
    if reader.has(StoreKeys.sftp) { return readSFTP(reader.place(of: StoreKeys.sftp)).map { .sftp($0) } }
    if reader.has(StoreKeys.gcs) { return readGCS(reader.place(of: StoreKeys.gcs)).map { .gcs($0) } }
    return readS3(reader.place(of: StoreKeys.s3)).map { .s3($0) }
  }

  private func readS3(_ place: Place) -> S3Place? {
    guard let reader = MappingReader(place, keys: S3Keys.section.keys) else { return nil }
    let bucket = reader.value(S3Keys.bucket)
    let region = reader.value(S3Keys.region)
    let endpoint = reader.value(S3Keys.endpoint)
    let pathStyle = reader.value(S3Keys.pathStyle)
    let prefix = reader.value(S3Keys.prefix)
    let storageClass = reader.value(S3Keys.storageClass)
    let credentials = reader.value(S3Keys.credentials)
    let pruneCredentials = reader.value(S3Keys.pruneCredentials)
    let certificateFile = reader.value(S3Keys.certificateFile)
    guard let bucket, let region else { return nil }
    return S3Place(
      bucket: bucket, region: region, endpoint: endpoint, isPathStyle: pathStyle, prefix: prefix ?? "",
      storageClass: storageClass ?? StorageClasses(), credentials: credentials,
      pruneCredentials: pruneCredentials, certificateFile: certificateFile)
  }

  private func readGCS(_ place: Place) -> GCSPlace? {
    guard let reader = MappingReader(place, keys: GCSKeys.section.keys) else { return nil }
    let bucket = reader.value(GCSKeys.bucket)
    let endpoint = reader.value(GCSKeys.endpoint)
    let prefix = reader.value(GCSKeys.prefix)
    let storageClass = reader.value(GCSKeys.storageClass)
    let credentials = reader.value(GCSKeys.credentials)
    let certificateFile = reader.value(GCSKeys.certificateFile)
    guard let bucket else { return nil }
    return GCSPlace(
      bucket: bucket, endpoint: endpoint, prefix: prefix ?? "", storageClass: storageClass ?? StorageClasses(),
      credentials: credentials ?? .automatic, certificateFile: certificateFile)
  }

  private func readSFTP(_ place: Place) -> SFTPPlace? {
    guard let reader = MappingReader(place, keys: SFTPKeys.section.keys) else { return nil }
    let host = reader.value(SFTPKeys.host)
    let port = reader.value(SFTPKeys.port)
    let user = reader.value(SFTPKeys.user)
    let path = reader.value(SFTPKeys.path)
    let knownHosts = reader.value(SFTPKeys.knownHosts)
    let keyFile = reader.value(SFTPKeys.keyFile)
    let passphrase = reader.value(SFTPKeys.passphrase)
    guard let host, let port, let user, let path, let knownHosts else { return nil }
    return SFTPPlace(
      host: host, port: port, user: user, path: path, knownHostsFile: knownHosts, keyFile: keyFile,
      passphrase: passphrase)
  }
}
