/// Why a template could not be read or rendered.
public struct JinjaError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The family of an error.
  public enum Kind: String, Hashable, Sendable {
    /// The source is no template: found when it is parsed (jinja2's `TemplateSyntaxError`).
    case syntax
    /// An operation on an undefined value (`UndefinedError`).
    case undefined
    /// An operation that values do not have (Python's `TypeError`, `ValueError`, `ZeroDivisionError`, …).
    case runtime
    /// The template refused its input by calling `raise_exception`; the message is its text, verbatim.
    case raised
    /// Something the sandbox does not allow (`SecurityError`).
    case security
    /// A budget of `JinjaLimits` ran out.
    case limit
  }

  /// The family.
  public let kind: Kind
  /// What was wrong.
  public let message: String
  /// The line of the template, from 1; nil where no line is to blame.
  public internal(set) var line: Int?

  /// Makes an error.
  public init(_ kind: Kind, _ message: String, line: Int? = nil) {
    self.kind = kind
    self.message = message
    self.line = line
  }

  /// `line N: message`, and only the message where the template raised it itself.
  public var description: String {
    guard kind != .raised, let line else { return message }
    return "line \(line): \(message)"
  }

  static func runtime(_ message: String) -> JinjaError { JinjaError(.runtime, message) }
}

/// What rendering one template may use. Templates come with downloaded models and are not trusted.
public struct JinjaLimits: Hashable, Sendable {
  /// Expressions and statements evaluated, plus one for every 64 bytes of text made or searched and for every 8 variables of a scope.
  public var steps = 1_000_000
  /// Bytes of output, and of any one string on the way.
  public var outputBytes = 8 << 20
  /// Macro calls (and recursive loops) inside each other.
  public var callDepth = 64
  /// Statements and expressions inside each other in the source.
  public var nesting = 64
  /// Bytes of source.
  public var sourceBytes = 1 << 20
  /// The defaults.
  public init() {}

  /// Lists and dictionaries inside each other; input from `JSON` nests at most 512 deep.
  static let valueDepth = 600
}
