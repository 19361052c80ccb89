/// Where in the world of AWS a region lies.
/// - SeeAlso: AWS, "Amazon Resource Names (ARNs)", partition.
public enum AWSRegion {
  /// The second word of an ARN.
  public static func partition(of region: String) -> String {
    if isInChina(region) { return "aws-cn" }
    return region.hasPrefix("us-gov-") ? "aws-us-gov" : "aws"
  }

  /// What the names of a region's hosts end in.
  public static func domain(of region: String) -> String { isInChina(region) ? "amazonaws.com.cn" : "amazonaws.com" }

  private static func isInChina(_ region: String) -> Bool { region.hasPrefix("cn-") }
}
