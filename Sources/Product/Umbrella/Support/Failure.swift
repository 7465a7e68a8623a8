/// An error for a person, in four parts: what, where, why, the fix.
public struct Failure: Error, CustomStringConvertible, Sendable {
  /// What failed, in one line.
  public let what: String
  /// File, line and field, or the command's argument.
  public let place: String?
  /// What was wanted and what was found.
  public let why: String?
  /// What to do.
  public let fix: String?

  /// An error; parts that say nothing are left out.
  public init(_ what: String, at place: String? = nil, why: String? = nil, fix: String? = nil) {
    self.what = what
    self.place = place
    self.why = why
    self.fix = fix
  }

  /// One line a part.
  public var description: String {
    ([what, place, why] + [fix.map { "fix: \($0)" }]).compactMap(\.self).joined(separator: "\n")
  }

  /// The text of any error as commands print it: the first line as it is, the following ones indented by two.
  public static func text(of error: any Error) -> String {
    let lines = String(describing: error).split(separator: "\n", omittingEmptySubsequences: true)
    return lines.enumerated().map { index, line in index == 0 || line.hasPrefix("  ") ? String(line) : "  " + line }.joined(separator: "\n")
  }
}
