extension Jinja.Compiler {
  typealias Syntax = Jinja.Syntax
  typealias Evaluable = Jinja.Evaluable

  mutating func constant(_ constant: Syntax.Constant) -> Int {
    constants.append(constant)
    return constants.count - 1
  }

  mutating func expression(_ expression: Syntax.Expression, _ frame: Frame) throws -> any Evaluable {
    switch expression {
    case .constant(let value): return Jinja.ConstantNode(index: constant(value))
    case .name(let name): return Jinja.NameNode(slot: try slot(name, frame), name: name)
    case .captured: return Jinja.CapturedNode()
    case .tuple(let items): return Jinja.ListNode(items: try expressions(items, frame), isTuple: true)
    case .list(let items): return Jinja.ListNode(items: try expressions(items, frame), isTuple: false)
    case .dict(let pairs):
      var nodes: [(key: any Evaluable, value: any Evaluable)] = []
      for (key, value) in pairs { nodes.append((try self.expression(key, frame), try self.expression(value, frame))) }
      return Jinja.DictNode(pairs: nodes)
    case .conditional(let test, let then, let otherwise, let line):
      let soft = frame.soft()
      return Jinja.ConditionalNode(
        test: try self.expression(test, soft), then: try self.expression(then, soft),
        otherwise: try otherwise.map { try self.expression($0, soft) }, line: line)
    case .or(let items): return Jinja.LogicNode(items: try expressions(items, frame), stopsAt: true)
    case .and(let items): return Jinja.LogicNode(items: try expressions(items, frame), stopsAt: false)
    case .not(let value): return Jinja.NotNode(value: try self.expression(value, frame))
    case .negate(let value): return Jinja.SignNode(value: try self.expression(value, frame), isNegative: true)
    case .positive(let value): return Jinja.SignNode(value: try self.expression(value, frame), isNegative: false)
    case .concat(let items): return Jinja.ConcatNode(items: try expressions(items, frame))
    case .compare(let first, let rest):
      let left = try self.expression(first, frame)
      var nodes: [(comparison: Syntax.Comparison, value: any Evaluable)] = []
      for (comparison, value) in rest { nodes.append((comparison, try self.expression(value, frame))) }
      return Jinja.CompareNode(first: left, rest: nodes)
    case .arithmetic(let first, let rest):
      let left = try self.expression(first, frame)
      var nodes: [(op: Syntax.Arithmetic, value: any Evaluable)] = []
      for (op, value) in rest { nodes.append((op, try self.expression(value, frame))) }
      return Jinja.ArithmeticNode(first: left, rest: nodes)
    case .postfix(let value, let chain):
      return Jinja.PostfixNode(value: try self.expression(value, frame), links: try links(chain, frame))
    }
  }

  private mutating func expressions(_ items: [Syntax.Expression], _ frame: Frame) throws -> [any Evaluable] {
    var nodes: [any Evaluable] = []
    for item in items { nodes.append(try expression(item, frame)) }
    return nodes
  }

  mutating func links(_ chain: some Collection<Syntax.Postfix>, _ frame: Frame) throws -> [Jinja.PostfixLink] {
    var links: [Jinja.PostfixLink] = []
    for link in chain {
      switch link {
      case .attribute(let name): links.append(.attribute(Array(name.utf8), constant: constant(.string(name))))
      case .item(let key): links.append(.item(try expression(key, frame)))
      case .slice(let start, let stop, let step):
        links.append(
          .slice(
            try start.map { try expression($0, frame) }, try stop.map { try expression($0, frame) },
            try step.map { try expression($0, frame) }
          ))
      case .call(let arguments):
        let nodes = try self.arguments(arguments, frame)
        if case .attribute(let name, let constant)? = links.last {
          links[links.count - 1] = .method(String(decoding: name, as: UTF8.self), constant: constant, nodes)
        } else {
          links.append(.call(nodes))
        }
      case .filter(let name, let arguments, let line):
        let filter = Jinja.Builtins.filters[name]
        if filter == nil, !frame.isSoft { throw JinjaError(.syntax, "No filter named '\(name)'.", line: line) }
        links.append(.filter(name, try self.arguments(arguments, frame), filter))
      case .test(let name, let arguments, let negated, let line):
        let test = Jinja.Builtins.tests[name]
        if test == nil, !frame.isSoft { throw JinjaError(.syntax, "No test named '\(name)'.", line: line) }
        links.append(.test(name, try self.arguments(arguments, frame), test, negated: negated))
      }
    }
    return links
  }

  mutating func arguments(_ arguments: Syntax.Arguments, _ frame: Frame) throws -> Jinja.ArgumentNodes {
    var nodes = Jinja.ArgumentNodes()
    nodes.positional = try expressions(arguments.positional, frame)
    for (name, value) in arguments.named { nodes.named.append((name, try expression(value, frame))) }
    nodes.rest = try arguments.rest.map { try expression($0, frame) }
    nodes.namedRest = try arguments.namedRest.map { try expression($0, frame) }
    return nodes
  }
}
