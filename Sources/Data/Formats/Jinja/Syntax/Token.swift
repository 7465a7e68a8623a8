/// A sandboxed interpreter of the Jinja template language, equal to Python's jinja2 3.1.6 as `transformers` sets it up.
///
/// Source → `Lexer` → `Parser` (`Syntax`) → `Compiler` (names become slots) → executable nodes that run on a `Runtime`.
enum Jinja {}

extension Jinja {
  enum TokenKind: Hashable, Sendable {
    case data(String)
    case variableBegin, variableEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    case op(Operator)
    case end
  }

  enum Operator: String, CaseIterable, Sendable {
    case floorDivide = "//"
    case power = "**"
    case equal = "=="
    case notEqual = "!="
    case greaterOrEqual = ">="
    case lessOrEqual = "<="
    case plus = "+"
    case minus = "-"
    case divide = "/"
    case multiply = "*"
    case modulo = "%"
    case tilde = "~"
    case leftBracket = "["
    case rightBracket = "]"
    case leftParen = "("
    case rightParen = ")"
    case leftBrace = "{"
    case rightBrace = "}"
    case greater = ">"
    case less = "<"
    case assign = "="
    case dot = "."
    case colon = ":"
    case pipe = "|"
    case comma = ","
    case semicolon = ";"

    /// Operators by their characters; those of one character have a space for the second.
    private static let table: [UInt64: Operator] = Dictionary(
      uniqueKeysWithValues: allCases.map { op in
        let scalars = Array(op.rawValue.unicodeScalars)
        return (key(scalars[0], scalars.count > 1 ? scalars[1] : " "), op)
      })

    private static func key(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> UInt64 {
      UInt64(first.value) << 32 | UInt64(second.value)
    }

    init?(_ first: Unicode.Scalar, _ second: Unicode.Scalar) {
      guard let found = Self.table[Self.key(first, second)] else { return nil }
      self = found
    }
  }

  struct Token: Sendable {
    let kind: TokenKind
    let line: Int

    /// How an error message names this token.
    var description: String {
      switch kind {
      case .data: "template data / text"
      case .variableBegin: "begin of print statement"
      case .variableEnd: "end of print statement"
      case .blockBegin: "begin of statement block"
      case .blockEnd: "end of statement block"
      case .name(let name): name
      case .string: "string"
      case .integer: "integer"
      case .float: "float"
      case .op(let op): op.rawValue
      case .end: "end of template"
      }
    }
  }
}
