/// Why a YAML text is refused: the place (1-based, column in characters) and what was wrong there.
public struct YAMLError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Line, from 1.
  public let line: Int
  /// Column in Unicode scalars, from 1.
  public let column: Int
  /// What was wanted and what was found.
  public let message: String
  /// `line:column: message`.
  public var description: String { "\(line):\(column): \(message)" }
}
