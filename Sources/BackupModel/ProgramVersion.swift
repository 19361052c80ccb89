/// The version of all three programs.
public enum ProgramVersion {
  public static let text = "0.1.0"
}
