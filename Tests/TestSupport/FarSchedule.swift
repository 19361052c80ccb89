import BackupModel

/// Cron's words, in UTC, for times that do not come while a test runs, at whatever time of day that is.
public enum FarSchedule {
  private static var hour: Int64 { Timestamp.now().seconds / 3600 }
  private static var minute: Int64 { Timestamp.now().seconds / 60 }

  /// Once a day, half a day from now.
  public static let daily = "0 \((hour + 12) % 24) * * *"
  /// Once an hour, half an hour from now.
  public static let hourly = "\((minute + 30) % 60) * * * *"
}
