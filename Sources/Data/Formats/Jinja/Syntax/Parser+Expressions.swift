extension Jinja.Parser {
  func isTupleEnd() -> Bool {
    switch current.kind {
    case .variableEnd, .blockEnd, .op(.rightParen): true
    default: false
    }
  }

  /// One expression, or several with commas between them as a tuple.
  mutating func tuple(
    withConditional: Bool = true, parenthesised: Bool = false
  ) throws -> Syntax.Expression {
    var items: [Syntax.Expression] = []
    var isTuple = false
    while true {
      if !items.isEmpty { try expect(.op(.comma)) }
      if isTupleEnd() { break }
      items.append(try withConditional ? expression() : nested { try $0.or() })
      guard isOp(.comma) else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = items.first { return only }
      guard parenthesised else { throw failure("Expected an expression, got '\(current.description)'") }
    }
    return .tuple(items)
  }

  mutating func expression() throws -> Syntax.Expression { try nested { try $0.conditionalExpression() } }

  private mutating func conditionalExpression() throws -> Syntax.Expression {
    let line = current.line
    var value = try or()
    var chained = 0
    while skip(name: "if") {
      // `a if b if c` nests to the left without the parser recursing.
      chained += 1
      guard chained <= limits.nesting else { throw JinjaError(.limit, "nesting deeper than \(limits.nesting)", line: line) }
      let test = try or()
      let otherwise = skip(name: "else") ? try expression() : nil
      value = .conditional(test: test, then: value, otherwise: otherwise, line: line)
    }
    return value
  }

  mutating func or() throws -> Syntax.Expression {
    var items = [try and()]
    while skip(name: "or") { items.append(try and()) }
    return items.count == 1 ? items[0] : .or(items)
  }

  private mutating func and() throws -> Syntax.Expression {
    var items = [try not()]
    while skip(name: "and") { items.append(try not()) }
    return items.count == 1 ? items[0] : .and(items)
  }

  private mutating func not() throws -> Syntax.Expression {
    guard skip(name: "not") else { return try comparison() }
    return .not(try nested { try $0.not() })
  }

  private mutating func comparison() throws -> Syntax.Expression {
    let first = try sum()
    var rest: [(Syntax.Comparison, Syntax.Expression)] = []
    while let comparison = comparisonOperator() { rest.append((comparison, try sum())) }
    return rest.isEmpty ? first : .compare(first, rest)
  }

  private mutating func comparisonOperator() -> Syntax.Comparison? {
    let found: Syntax.Comparison
    switch current.kind {
    case .op(.equal): found = .equal
    case .op(.notEqual): found = .notEqual
    case .op(.less): found = .less
    case .op(.lessOrEqual): found = .lessOrEqual
    case .op(.greater): found = .greater
    case .op(.greaterOrEqual): found = .greaterOrEqual
    case .name("in"): found = .contained
    case .name("not") where next.isName("in"):
      take()
      found = .notContained
    default: return nil
    }
    take()
    return found
  }

  private mutating func sum() throws -> Syntax.Expression {
    let first = try concatenation()
    var rest: [(Syntax.Arithmetic, Syntax.Expression)] = []
    while true {
      if skip(.plus) {
        rest.append((.add, try concatenation()))
      } else if skip(.minus) {
        rest.append((.subtract, try concatenation()))
      } else {
        return rest.isEmpty ? first : .arithmetic(first, rest)
      }
    }
  }

  private mutating func concatenation() throws -> Syntax.Expression {
    var items = [try product()]
    while skip(.tilde) { items.append(try product()) }
    return items.count == 1 ? items[0] : .concat(items)
  }

  private mutating func product() throws -> Syntax.Expression {
    let first = try power()
    var rest: [(Syntax.Arithmetic, Syntax.Expression)] = []
    while true {
      let op: Syntax.Arithmetic
      switch current.kind {
      case .op(.multiply): op = .multiply
      case .op(.divide): op = .divide
      case .op(.floorDivide): op = .floorDivide
      case .op(.modulo): op = .modulo
      default: return rest.isEmpty ? first : .arithmetic(first, rest)
      }
      take()
      rest.append((op, try power()))
    }
  }

  private mutating func power() throws -> Syntax.Expression {
    let first = try unary(withFilters: true)
    var rest: [(Syntax.Arithmetic, Syntax.Expression)] = []
    while skip(.power) { rest.append((.power, try unary(withFilters: true))) }
    return rest.isEmpty ? first : .arithmetic(first, rest)
  }

  private mutating func unary(withFilters: Bool) throws -> Syntax.Expression {
    var operand: Syntax.Expression
    if skip(.minus) {
      operand = .negate(try nested { try $0.unary(withFilters: false) })
    } else if skip(.plus) {
      operand = .positive(try nested { try $0.unary(withFilters: false) })
    } else {
      operand = try primary()
    }
    var chain: [Syntax.Postfix] = []
    try postfixes(into: &chain)
    if withFilters { try filtersAndTests(into: &chain) }
    if !chain.isEmpty { operand = .postfix(operand, chain) }
    return operand
  }

  private mutating func primary() throws -> Syntax.Expression {
    switch current.kind {
    case .name(let name):
      take()
      switch name {
      case "true", "True": return .constant(.bool(true))
      case "false", "False": return .constant(.bool(false))
      case "none", "None": return .constant(.null)
      default: return .name(name)
      }
    case .string(var text):
      take()
      while case .string(let more) = current.kind {
        text += more
        take()
      }
      return .constant(.string(text))
    case .integer(let value):
      take()
      return .constant(.int(value))
    case .float(let value):
      take()
      return .constant(.float(value))
    case .op(.leftParen):
      take()
      let value = try tuple(parenthesised: true)
      try expect(.op(.rightParen))
      return value
    case .op(.leftBracket): return try list()
    case .op(.leftBrace): return try dict()
    default: throw failure("unexpected '\(current.description)'")
    }
  }

  private mutating func list() throws -> Syntax.Expression {
    take()
    var items: [Syntax.Expression] = []
    while !isOp(.rightBracket) {
      if !items.isEmpty { try expect(.op(.comma)) }
      if isOp(.rightBracket) { break }
      items.append(try expression())
    }
    take()
    return .list(items)
  }

  private mutating func dict() throws -> Syntax.Expression {
    take()
    var items: [(Syntax.Expression, Syntax.Expression)] = []
    while !isOp(.rightBrace) {
      if !items.isEmpty { try expect(.op(.comma)) }
      if isOp(.rightBrace) { break }
      let key = try expression()
      try expect(.op(.colon))
      items.append((key, try expression()))
    }
    take()
    return .dict(items)
  }

  // MARK: What follows an operand

  private mutating func postfixes(into chain: inout [Syntax.Postfix]) throws {
    while true {
      switch current.kind {
      case .op(.dot):
        take()
        chain.append(try member())
      case .op(.leftBracket):
        take()
        chain.append(try subscripted())
      case .op(.leftParen): chain.append(.call(try arguments()))
      default: return
      }
    }
  }

  private mutating func member() throws -> Syntax.Postfix {
    switch current.kind {
    case .name(let name):
      take()
      return .attribute(name)
    case .integer(let index):
      take()
      return .item(.constant(.int(index)))
    default: throw failure("expected name or number")
    }
  }

  private mutating func subscripted() throws -> Syntax.Postfix {
    var parts: [Syntax.Postfix] = []
    while !isOp(.rightBracket) {
      if !parts.isEmpty { try expect(.op(.comma)) }
      parts.append(try subscriptPart())
    }
    take()
    if parts.count == 1 { return parts[0] }
    return .item(
      .tuple(
        try parts.map {
          guard case .item(let value) = $0 else { throw failure("a slice stands alone in a subscript") }
          return value
        }))
  }

  private mutating func subscriptPart() throws -> Syntax.Postfix {
    let start = isOp(.colon) ? nil : try expression()
    guard skip(.colon) else {
      guard let start else { throw failure("expected subscript expression") }
      return .item(start)
    }
    let stop = isOp(.colon) || isOp(.rightBracket) || isOp(.comma) ? nil : try expression()
    guard skip(.colon) else { return .slice(start, stop, nil) }
    return .slice(start, stop, isOp(.rightBracket) || isOp(.comma) ? nil : try expression())
  }

  private mutating func filtersAndTests(into chain: inout [Syntax.Postfix]) throws {
    while true {
      switch current.kind {
      case .op(.pipe):
        take()
        chain.append(try filter())
      case .name("is"):
        take()
        chain.append(try test())
      case .op(.leftParen): chain.append(.call(try arguments()))
      default: return
      }
    }
  }

  private mutating func dottedName() throws -> String {
    var name = try expectName()
    while skip(.dot) { name += "." + (try expectName()) }
    return name
  }

  /// A filter's name and arguments, after the `|`.
  mutating func filter() throws -> Syntax.Postfix {
    let line = current.line
    let name = try dottedName()
    return .filter(name, isOp(.leftParen) ? try arguments() : .init(), line: line)
  }

  private mutating func test() throws -> Syntax.Postfix {
    let negated = skip(name: "not")
    let line = current.line
    let name = try dottedName()
    return .test(name, try testArguments(), negated: negated, line: line)
  }

  private mutating func testArguments() throws -> Syntax.Arguments {
    switch current.kind {
    case .op(.leftParen): return try arguments()
    case .name("else"), .name("or"), .name("and"): return .init()
    case .name("is"): throw failure("You cannot chain multiple tests with is")
    case .name, .string, .integer, .float, .op(.leftBracket), .op(.leftBrace):
      return .init(
        positional: [
          try nested { parser in
            let operand = try parser.primary()
            var chain: [Syntax.Postfix] = []
            try parser.postfixes(into: &chain)
            return chain.isEmpty ? operand : .postfix(operand, chain)
          }
        ])
    default: return .init()
    }
  }

  private mutating func arguments() throws -> Syntax.Arguments {
    let line = take().line
    var arguments = Syntax.Arguments()
    var isFirst = true
    var names: Set<Jinja.Name> = []
    func ensure(_ isValid: Bool) throws {
      if !isValid { throw failure("invalid syntax for function call expression", line: line) }
    }
    while !isOp(.rightParen) {
      if !isFirst {
        try expect(.op(.comma))
        if isOp(.rightParen) { break }
      }
      isFirst = false
      if skip(.multiply) {
        try ensure(arguments.rest == nil && arguments.namedRest == nil)
        arguments.rest = try expression()
      } else if skip(.power) {
        try ensure(arguments.namedRest == nil)
        arguments.namedRest = try expression()
      } else if case .name(let name) = current.kind, next.kind == .op(.assign) {
        try ensure(arguments.namedRest == nil)
        take()
        take()
        try ensure(names.insert(.init(name)).inserted)
        arguments.named.append((name, try expression()))
      } else {
        try ensure(arguments.rest == nil && arguments.namedRest == nil && arguments.named.isEmpty)
        arguments.positional.append(try expression())
      }
    }
    take()
    return arguments
  }
}
