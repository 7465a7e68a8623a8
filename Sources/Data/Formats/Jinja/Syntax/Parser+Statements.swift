extension Jinja.Parser {
  typealias Syntax = Jinja.Syntax

  /// Parses the statement `tag`, which is the current token; nil where there is no such tag.
  mutating func statement(_ tag: String) throws -> Syntax.Kind? {
    switch tag {
    case "if": return try conditional()
    case "for": return try loop()
    case "set": return try set()
    case "macro": return try macro()
    case "call": return try callBlock()
    case "filter": return try filterBlock()
    case "with": return try with()
    case "generation":
      take()
      return .generation(try body("endgeneration").body)
    case "block": return try block()
    case "autoescape": return try autoescape()
    case "break":
      take()
      return .breakLoop
    case "continue":
      take()
      return .continueLoop
    case "include", "import", "from", "extends":
      throw failure("'\(tag)' is refused: a chat template stands alone and cannot load other templates")
    default: return nil
    }
  }

  private mutating func conditional() throws -> Syntax.Kind {
    var branches: [(test: Syntax.Expression, body: [Syntax.Statement])] = []
    while true {
      take()
      let test = try tuple(withConditional: false)
      let (body, end) = try body("elif", "else", "endif")
      branches.append((test, body))
      if end == "elif" {
        at -= 1
      } else if end == "else" {
        return .conditional(branches, otherwise: try self.body("endif").body)
      } else {
        return .conditional(branches, otherwise: [])
      }
    }
  }

  private mutating func loop() throws -> Syntax.Kind {
    take()
    let target = try assignmentTarget()
    try expect(.name("in"))
    let source = try tuple(withConditional: false)
    let test = skip(name: "if") ? try expression() : nil
    let isRecursive = skip(name: "recursive")
    let (body, end) = try body("endfor", "else")
    let otherwise = end == "else" ? try self.body("endfor").body : []
    return .loop(.init(target: target, source: source, test: test, isRecursive: isRecursive, body: body, otherwise: otherwise))
  }

  private mutating func set() throws -> Syntax.Kind {
    take()
    let target = try assignmentTarget(withNamespace: true)
    if skip(.assign) { return .set(target, try tuple()) }
    let filter = isOp(.pipe) ? try filters(on: .captured) : nil
    return .setBlock(target, filter: filter, body: try body("endset").body)
  }

  private mutating func filters(on value: Syntax.Expression) throws -> Syntax.Expression {
    var chain: [Syntax.Postfix] = []
    while skip(.pipe) { chain.append(try filter()) }
    return .postfix(value, chain)
  }

  private mutating func filterBlock() throws -> Syntax.Kind {
    take()
    var chain = [try filter()]
    while skip(.pipe) { chain.append(try filter()) }
    return .filter(.postfix(.captured, chain), try body("endfilter").body)
  }

  private mutating func signature() throws -> Syntax.Signature {
    var signature = Syntax.Signature()
    try expect(.op(.leftParen))
    while !isOp(.rightParen) {
      if !signature.parameters.isEmpty { try expect(.op(.comma)) }
      let name = try expectName()
      try checkAssignable(name)
      if skip(.assign) {
        signature.parameters.append((name, try expression()))
      } else if signature.parameters.last?.initial != nil {
        throw failure("non-default argument follows default argument")
      } else {
        signature.parameters.append((name, nil))
      }
    }
    try expect(.op(.rightParen))
    var seen: Set<Jinja.Name> = []
    for parameter in signature.parameters where !seen.insert(.init(parameter.name)).inserted {
      throw failure("duplicate argument '\(parameter.name)'")
    }
    return signature
  }

  private mutating func macro() throws -> Syntax.Kind {
    take()
    let name = try expectName()
    try checkAssignable(name)
    let signature = try signature()
    return .macro(name, signature, try body("endmacro").body)
  }

  private mutating func callBlock() throws -> Syntax.Kind {
    let line = take().line
    let signature = isOp(.leftParen) ? try signature() : Syntax.Signature()
    let call = try expression()
    guard case .postfix(_, let chain) = call, case .call? = chain.last else { throw failure("expected call", line: line) }
    return .call(signature, call, try body("endcall").body)
  }

  private mutating func with() throws -> Syntax.Kind {
    take()
    var values: [(Syntax.Target, Syntax.Expression)] = []
    while current.kind != .blockEnd {
      if !values.isEmpty { try expect(.op(.comma)) }
      let target = try assignmentTarget()
      try expect(.op(.assign))
      values.append((target, try expression()))
    }
    return .with(values, try body("endwith").body)
  }

  private mutating func block() throws -> Syntax.Kind {
    take()
    let name = try expectName()
    let isScoped = skip(name: "scoped")
    let isRequired = skip(name: "required")
    if isOp(.minus) { throw failure("block names may not contain hyphens, use an underscore instead") }
    let body = try body("endblock").body
    if isRequired { throw failure("a required block needs a child template, and 'extends' is refused") }
    _ = skip(name: name)
    return .block(name, scoped: isScoped, body)
  }

  private mutating func autoescape() throws -> Syntax.Kind {
    take()
    guard case .constant(.bool(false)) = try expression() else {
      throw failure("'autoescape' other than false is refused: chat templates are text, not HTML")
    }
    return .scope(try body("endautoescape").body)
  }

  mutating func printStatement() throws -> [Syntax.Statement] {
    take()
    var outputs: [Syntax.Statement] = []
    while current.kind != .blockEnd {
      if !outputs.isEmpty { try expect(.op(.comma)) }
      let line = current.line
      outputs.append(.init(line: line, kind: .output(try expression())))
    }
    return outputs
  }

  // MARK: Targets of assignments

  private func checkAssignable(_ name: String) throws {
    if ["true", "false", "none", "True", "False", "None"].contains(name) { throw failure("can't assign to '\(name)'") }
  }

  private mutating func assignmentTarget(withNamespace: Bool = false) throws -> Syntax.Target {
    let line = current.line
    var targets: [Syntax.Target] = []
    var isTuple = false
    while true {
      if !targets.isEmpty { try expect(.op(.comma)) }
      if isTupleEnd() { break }
      targets.append(try primaryTarget(withNamespace: withNamespace))
      guard isOp(.comma) else { break }
      isTuple = true
    }
    if isTuple { return .tuple(targets) }
    guard let target = targets.first else { throw failure("Expected an expression, got '\(current.description)'", line: line) }
    return target
  }

  private mutating func primaryTarget(withNamespace: Bool) throws -> Syntax.Target {
    if isOp(.leftParen) {
      return try nested { parser in
        parser.take()
        // Inside parentheses jinja2 parses full expressions, of which names and tuples of names may be assigned to.
        let target = try parser.target(from: parser.tuple(parenthesised: true))
        try parser.expect(.op(.rightParen))
        return target
      }
    }
    guard case .name(let name) = current.kind else { throw failure("can't assign to '\(current.description)'") }
    take()
    if withNamespace, skip(.dot) { return .attribute(of: name, try expectName()) }
    try checkAssignable(name)
    return .name(name)
  }

  private func target(from expression: Syntax.Expression) throws -> Syntax.Target {
    switch expression {
    case .name(let name): return .name(name)
    case .tuple(let items): return .tuple(try items.map { try target(from: $0) })
    default: throw failure("can't assign to an expression")
    }
  }
}
