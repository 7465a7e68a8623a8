extension Jinja {
  /// Names are the same where their bytes are the same.
  typealias Name = ExactString

  /// What the parser makes of a source: names are still names. Chains (`a + b + c`, `x|f|g`, `a.b.c`) are flat, so that the depth of
  /// the tree is bounded by `JinjaLimits.nesting` and not by the length of the source.
  enum Syntax {
    indirect enum Expression: Sendable {
      case constant(Constant)
      case name(String)
      case tuple([Expression])
      case list([Expression])
      case dict([(Expression, Expression)])
      case conditional(test: Expression, then: Expression, otherwise: Expression?, line: Int)
      case or([Expression])
      case and([Expression])
      case not(Expression)
      case compare(Expression, [(Comparison, Expression)])
      case arithmetic(Expression, [(Arithmetic, Expression)])
      case concat([Expression])
      case negate(Expression)
      case positive(Expression)
      case postfix(Expression, [Postfix])
      /// The text that a filter block or a filtered set block captured.
      case captured
    }

    enum Constant: Sendable {
      case null
      case bool(Bool)
      case int(Int)
      case float(Double)
      case string(String)
    }

    enum Comparison: Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, contained, notContained }
    enum Arithmetic: String, Sendable {
      case add = "+"
      case subtract = "-"
      case multiply = "*"
      case divide = "/"
      case floorDivide = "//"
      case modulo = "%"
      case power = "** or pow()"
    }

    /// What follows an operand.
    enum Postfix: Sendable {
      case attribute(String)
      case item(Expression)
      case slice(Expression?, Expression?, Expression?)
      case call(Arguments)
      case filter(String, Arguments, line: Int)
      case test(String, Arguments, negated: Bool, line: Int)
    }

    struct Arguments: Sendable {
      var positional: [Expression] = []
      var named: [(String, Expression)] = []
      var rest: Expression?
      var namedRest: Expression?
    }

    enum Target: Sendable {
      case name(String)
      case attribute(of: String, String)
      case tuple([Target])
    }

    struct Signature: Sendable {
      var parameters: [(name: String, initial: Expression?)] = []
    }

    struct Statement: Sendable {
      let line: Int
      let kind: Kind
    }

    indirect enum Kind: Sendable {
      case data(String)
      case output(Expression)
      case conditional([(test: Expression, body: [Statement])], otherwise: [Statement])
      case loop(Loop)
      case set(Target, Expression)
      case setBlock(Target, filter: Expression?, body: [Statement])
      case macro(String, Signature, [Statement])
      case call(Signature, Expression, [Statement])
      case filter(Expression, [Statement])
      case with([(Target, Expression)], [Statement])
      case generation([Statement])
      case block(String, scoped: Bool, [Statement])
      case scope([Statement])
      case breakLoop
      case continueLoop
    }

    struct Loop: Sendable {
      let target: Target
      let source: Expression
      let test: Expression?
      let isRecursive: Bool
      let body: [Statement]
      let otherwise: [Statement]
    }
  }
}
