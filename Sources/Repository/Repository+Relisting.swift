internal import Storage

extension Repository {
  /// Does what begins with listings and then reads what they named.
  ///
  /// In between a prune may delete an object, or a whole segment take the place of its slices: then all of it is done
  /// anew, from new listings. What is missing each time is missing.
  /// - Throws: What `body` throws.
  public func readingWhatIsListed<Result>(_ body: () throws -> Result) throws -> Result {
    for _ in 0..<3 {
      do {
        return try body()
      } catch let error as StorageError where error.isMissing {
        continue
      }
    }
    return try body()
  }
}
