extension Jinja.Compiler {
  typealias Name = Jinja.Name

  mutating func body(_ statements: [Syntax.Statement], _ frame: Frame) throws -> Jinja.Body {
    var body = Jinja.Body()
    for statement in statements { body.statements.append((statement.line, try node(statement, frame))) }
    return body
  }

  private mutating func node(_ statement: Syntax.Statement, _ frame: Frame) throws -> any Jinja.Executable {
    switch statement.kind {
    case .data(let text): return Jinja.DataNode(bytes: Array(text.utf8))
    case .output(let value): return Jinja.OutputNode(value: try expression(value, frame))
    case .conditional(let branches, let otherwise): return try conditional(branches, otherwise, frame.soft())
    case .loop(let loop): return try self.loop(loop, frame, line: statement.line)
    case .set(let target, let value):
      return Jinja.SetNode(destination: try destination(target, frame), value: try expression(value, frame))
    case .setBlock(let target, let filter, let body): return try capture(body, filter: filter, target: target, frame)
    case .filter(let filter, let body): return try capture(body, filter: filter, target: nil, frame)
    case .macro(let name, let signature, let body):
      let code = try macro(name, signature, body, frame, line: statement.line)
      return Jinja.MacroNode(code: code, destination: try destination(.name(name), frame))
    case .call(let signature, let call, let body): return try callBlock(signature, call, body, frame, line: statement.line)
    case .generation(let body):
      return Jinja.GenerationNode(code: try macro(nil, .init(), body, frame, line: statement.line))
    case .with(let values, let body): return try with(values, body, frame)
    case .scope(let body):
      let inner = frame.inner()
      analyse(inner) { $0.visit(body) }
      return Jinja.WithNode(entry: entry(of: inner), values: [], body: try self.body(body, inner))
    case .block(let name, let isScoped, let body): return try block(name, isScoped, body, frame, line: statement.line)
    case .breakLoop, .continueLoop:
      var isBreak = false
      if case .breakLoop = statement.kind { isBreak = true }
      guard frame.isInLoop else {
        throw JinjaError(.syntax, "'\(isBreak ? "break" : "continue")' outside loop", line: statement.line)
      }
      return Jinja.FlowNode(flow: isBreak ? .breakLoop : .continueLoop)
    }
  }

  private mutating func conditional(
    _ branches: [(test: Syntax.Expression, body: [Syntax.Statement])], _ otherwise: [Syntax.Statement], _ frame: Frame
  ) throws -> any Jinja.Executable {
    var nodes: [(test: any Evaluable, body: Jinja.Body)] = []
    for (test, body) in branches { nodes.append((try expression(test, frame), try self.body(body, frame))) }
    return Jinja.IfNode(branches: nodes, otherwise: try body(otherwise, frame))
  }

  private mutating func capture(
    _ statements: [Syntax.Statement], filter: Syntax.Expression?, target: Syntax.Target?, _ frame: Frame
  ) throws -> any Jinja.Executable {
    let inner = frame.inner()
    analyse(inner) { visitor in
      visitor.visit(statements)
      // The filter of a filter block belongs to its scope as well.
      if target == nil, let filter { visitor.visit(filter) }
    }
    return Jinja.CaptureNode(
      entry: entry(of: inner), body: try body(statements, inner),
      filter: try filter.map { try expression($0, target == nil ? inner : filterFrame(inner, $0)) },
      destination: try target.map { try destination($0, frame) })
  }

  /// jinja2 does not look for names in the filter of a set block; those it does not know otherwise are found here.
  private mutating func filterFrame(_ inner: Frame, _ filter: Syntax.Expression) throws -> Frame {
    var unknown: String?
    filter.forEachName { name in if inner.symbols.find(Name(name)) == nil, unknown == nil { unknown = name } }
    if let unknown { throw JinjaError(.syntax, "the name '\(unknown)' is not known in the filter of a set block") }
    return inner
  }

  private mutating func with(
    _ values: [(Syntax.Target, Syntax.Expression)], _ statements: [Syntax.Statement], _ frame: Frame
  ) throws -> any Jinja.Executable {
    let inner = frame.inner()
    analyse(inner) { visitor in
      for (target, _) in values { visitor.declare(target) }
      visitor.visit(statements)
    }
    var nodes: [(destination: Jinja.Destination, value: any Evaluable)] = []
    for (target, value) in values { nodes.append((try destination(target, inner), try expression(value, frame))) }
    return Jinja.WithNode(entry: entry(of: inner), values: nodes, body: try body(statements, inner))
  }

  // MARK: Loops

  private mutating func loop(_ loop: Syntax.Loop, _ frame: Frame, line: Int) throws -> any Jinja.Executable {
    if Self.storesLoop(loop) { throw JinjaError(.syntax, "Can't assign to special loop variable in for-loop target", line: line) }
    let function = loop.isRecursive ? newFunction(inside: frame.function) : nil
    var body = frame.inner(function: function)
    body.isInLoop = true
    let usesLoop = loop.isRecursive || !Jinja.UndeclaredNames.among(["loop"], in: loop.body).isEmpty
    let loopReference = usesLoop ? body.symbols.declare(Name("loop")) : nil
    analyse(body) { visitor in
      visitor.declare(loop.target)
      visitor.visit(loop.body)
    }
    var otherwise = frame.inner(function: function)
    otherwise.isInLoop = function == nil && frame.isInLoop
    analyse(otherwise) { $0.visit(loop.otherwise) }
    let filter = try loop.test.map { try self.filter(loop.target, $0, frame, inside: function ?? frame.function) }
    let code = Jinja.LoopCode(
      entry: entry(of: body), destination: try destination(loop.target, body),
      loopSlot: loopReference.map { slot($0, from: body.function) }, body: try self.body(loop.body, body),
      otherwise: loop.otherwise.isEmpty ? nil : (entry(of: otherwise), try self.body(loop.otherwise, otherwise)))
    let source = try expression(loop.source, frame)
    guard let function else { return Jinja.LoopNode(source: source, filter: filter, code: code) }
    return Jinja.RecursiveLoopNode(source: source, filter: filter, code: code, slotCount: function.slotCount)
  }

  private mutating func filter(
    _ target: Syntax.Target, _ test: Syntax.Expression, _ frame: Frame, inside parent: Jinja.FunctionScope
  ) throws -> Jinja.LoopFilter {
    let function = newFunction(inside: parent)
    let inner = frame.inner(function: function)
    analyse(inner) { visitor in
      visitor.declare(target)
      visitor.visit(test)
    }
    return Jinja.LoopFilter(
      entry: entry(of: inner), destination: try destination(target, inner), test: try expression(test, inner), slotCount: function.slotCount
    )
  }

  private static func storesLoop(_ loop: Syntax.Loop) -> Bool {
    stores(loop.target) || stores(loop.body) || stores(loop.otherwise)
  }

  private static func stores(_ target: Syntax.Target) -> Bool {
    switch target {
    case .name(let name): name == "loop"
    case .attribute: false
    case .tuple(let targets): targets.contains { stores($0) }
    }
  }

  private static func stores(_ statements: [Syntax.Statement]) -> Bool {
    statements.contains { statement in
      switch statement.kind {
      case .set(let target, _): stores(target)
      case .setBlock(let target, _, let body): stores(target) || stores(body)
      case .conditional(let branches, let otherwise): branches.contains { stores($0.body) } || stores(otherwise)
      case .macro(_, _, let body), .call(_, _, let body), .filter(_, let body), .with(_, let body), .generation(let body),
        .block(_, _, let body), .scope(let body):
        stores(body)
      // An inner loop is checked when it is compiled itself.
      case .loop, .data, .output, .breakLoop, .continueLoop: false
      }
    }
  }

  // MARK: Macros and blocks

  private mutating func macro(
    _ name: String?, _ signature: Syntax.Signature, _ statements: [Syntax.Statement], _ frame: Frame, line: Int
  ) throws -> Jinja.MacroCode {
    let function = newFunction(inside: frame.function)
    let inner = frame.inner(function: function)
    for parameter in signature.parameters { inner.symbols.declare(Name(parameter.name)) }
    let special = Jinja.UndeclaredNames.among(["caller", "kwargs", "varargs"], in: statements)
    let named = Set(signature.parameters.map { Name($0.name) })
    if special.contains(Name("caller")), let parameter = signature.parameters.first(where: { $0.name == "caller" }),
      parameter.initial == nil
    {
      throw JinjaError(
        .syntax, "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a default.", line: line)
    }
    let added = ["caller", "kwargs", "varargs"].map { wanted -> Jinja.Slot? in
      guard special.contains(Name(wanted)), !named.contains(Name(wanted)) else { return nil }
      return slot(inner.symbols.declare(Name(wanted)), from: function)
    }
    analyse(inner) { visitor in
      for parameter in signature.parameters { if let initial = parameter.initial { visitor.visit(initial) } }
      visitor.visit(statements)
    }
    var parameters: [(name: String, slot: Jinja.Slot, initial: (any Evaluable)?)] = []
    for parameter in signature.parameters {
      parameters.append((parameter.name, try slot(parameter.name, inner), try parameter.initial.map { try expression($0, inner) }))
    }
    let entry = entry(of: inner)
    let body = try body(statements, inner)
    return Jinja.MacroCode(
      name: name, parameters: parameters, caller: added[0], namedRest: added[1], rest: added[2], entry: entry, body: body,
      slotCount: function.slotCount)
  }

  private mutating func callBlock(
    _ signature: Syntax.Signature, _ call: Syntax.Expression, _ statements: [Syntax.Statement], _ frame: Frame, line: Int
  ) throws -> any Jinja.Executable {
    let code = try macro(nil, signature, statements, frame, line: line)
    guard case .postfix(let value, let chain) = call, case .call(let arguments)? = chain.last else {
      throw JinjaError(.syntax, "expected call", line: line)
    }
    let callee = Jinja.PostfixNode(value: try expression(value, frame), links: try links(chain.dropLast(), frame))
    return Jinja.CallBlockNode(code: code, callee: callee, arguments: try self.arguments(arguments, frame))
  }

  private mutating func block(
    _ name: String, _ isScoped: Bool, _ statements: [Syntax.Statement], _ frame: Frame, line: Int
  ) throws -> any Jinja.Executable {
    try add(block: name, line: line)
    let function = newFunction(inside: nil)
    let inner = Frame(symbols: Jinja.Symbols(parent: nil, function: function))
    analyse(inner) { $0.visit(statements) }
    var scoped: [(slot: Jinja.Slot, source: Jinja.Slot)] = []
    if isScoped {
      for (name, reference) in inner.symbols.references {
        if case .resolve? = inner.symbols.loads[reference], let outer = frame.symbols.find(name) {
          scoped.append((slot(reference, from: function), slot(outer, from: frame.function)))
        }
      }
    }
    let entry = entry(of: inner)
    return Jinja.BlockNode(entry: entry, body: try body(statements, inner), slotCount: function.slotCount, scoped: scoped)
  }
}
