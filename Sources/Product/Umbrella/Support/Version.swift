/// The version of the program.
public enum Version {
  /// `MAJOR.MINOR.PATCH`.
  public static let text = "0.1.0"
}
