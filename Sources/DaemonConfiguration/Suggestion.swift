/// The nearest of the valid names to one that is not.
public enum Suggestion {
  /// - Returns: Nil where none is near enough to be a slip of the fingers.
  public static func nearest(to text: String, in names: some Sequence<String>) -> String? {
    let best = names.map { (name: $0, distance: distance(text, $0)) }.min {
      ($0.distance, $0.name) < ($1.distance, $1.name)
    }
    guard let best, best.distance <= max(1, min(3, best.name.count / 3)) else { return nil }
    return best.name
  }

  /// `did you mean "schedule"?`
  static func text(for text: String, in names: some Sequence<String>) -> String? {
    nearest(to: text, in: names).map { "did you mean \"\($0)\"?" }
  }

  /// Letters to insert, remove, replace or swap with their neighbour: Damerau's distance.
  static func distance(_ a: String, _ b: String) -> Int {
    let a = Array(a.prefix(64))
    let b = Array(b.prefix(64))
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int]()
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [i]
      for j in 1...b.count {
        var cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, beforeLast[j - 2] + 1) }
        row.append(cost)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}
