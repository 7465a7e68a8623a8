extension Jinja {
  /// Finds the names of a scope. It stops at inner scopes, which are visited when they are compiled.
  struct SymbolVisitor {
    var symbols: Symbols
    var names: NameTable

    mutating func visit(_ statements: [Syntax.Statement]) {
      for statement in statements { visit(statement.kind) }
    }

    private mutating func visit(_ kind: Syntax.Kind) {
      switch kind {
      case .data, .breakLoop, .continueLoop, .generation, .block, .scope: break
      case .output(let value): visit(value)
      case .conditional(let branches, let otherwise): visit(branches[...], otherwise: otherwise)
      case .loop(let loop): visit(loop.source)
      case .set(let target, let value):
        visit(value)
        store(target)
      case .setBlock(let target, _, _): store(target)
      case .macro(let name, _, _): symbols.store(.init(name))
      case .call(_, let call, _): visit(call)
      case .filter(let filter, _): visit(filter)
      case .with(let values, _): for (_, value) in values { visit(value) }
      }
    }

    private mutating func visit(_ branches: ArraySlice<(test: Syntax.Expression, body: [Syntax.Statement])>, otherwise: [Syntax.Statement])
    {
      guard let first = branches.first else { return }
      visit(first.test)
      let outer = symbols
      let added = [
        branch(of: outer) { $0.visit(first.body) },
        // Each `elif` counts as an `if` of its own after the one before it, all in one branch of the first.
        branch(of: outer) { visitor in
          for alternative in branches.dropFirst() { visitor.visit([alternative][...], otherwise: []) }
        },
        branch(of: outer) { $0.visit(otherwise) },
      ]
      outer.merge(added, names: &names)
    }

    private mutating func branch(of outer: Symbols, _ body: (inout SymbolVisitor) -> Void) -> Symbols {
      let inner = outer.branch()
      symbols = inner
      body(&self)
      symbols = outer
      return inner
    }

    mutating func store(_ target: Syntax.Target) {
      switch target {
      case .name(let name): symbols.store(.init(name))
      case .attribute(let name, _): symbols.load(.init(name), names: &names)
      case .tuple(let targets): for target in targets { store(target) }
      }
    }

    mutating func declare(_ target: Syntax.Target) {
      switch target {
      case .name(let name): symbols.declare(.init(name))
      case .attribute(let name, _): symbols.load(.init(name), names: &names)
      case .tuple(let targets): for target in targets { declare(target) }
      }
    }

    mutating func visit(_ expression: Syntax.Expression) {
      expression.forEachName { symbols.load(.init($0), names: &names) }
    }
  }
}

extension Jinja.Syntax.Expression {
  /// Calls `body` with each name that the expression reads, in the order of the source.
  func forEachName(_ body: (String) -> Void) {
    switch self {
    case .constant, .captured: break
    case .name(let name): body(name)
    case .tuple(let items), .list(let items), .or(let items), .and(let items), .concat(let items):
      for item in items { item.forEachName(body) }
    case .dict(let pairs):
      for (key, value) in pairs {
        key.forEachName(body)
        value.forEachName(body)
      }
    case .conditional(let test, let then, let otherwise, _):
      test.forEachName(body)
      then.forEachName(body)
      otherwise?.forEachName(body)
    case .not(let value), .negate(let value), .positive(let value): value.forEachName(body)
    case .compare(let first, let rest):
      first.forEachName(body)
      for (_, value) in rest { value.forEachName(body) }
    case .arithmetic(let first, let rest):
      first.forEachName(body)
      for (_, value) in rest { value.forEachName(body) }
    case .postfix(let value, let chain):
      value.forEachName(body)
      for link in chain { link.forEachName(body) }
    }
  }
}

extension Jinja.Syntax.Postfix {
  func forEachName(_ body: (String) -> Void) {
    switch self {
    case .attribute: break
    case .item(let key): key.forEachName(body)
    case .slice(let start, let stop, let step): for part in [start, stop, step] { part?.forEachName(body) }
    case .call(let arguments), .filter(_, let arguments, _), .test(_, let arguments, _, _):
      for value in arguments.positional { value.forEachName(body) }
      for (_, value) in arguments.named { value.forEachName(body) }
      arguments.rest?.forEachName(body)
      arguments.namedRest?.forEachName(body)
    }
  }
}

extension Jinja {
  /// Which of some special names (`loop`, `caller`, `varargs`, `kwargs`) a body reads before it stores them itself.
  struct UndeclaredNames {
    private var wanted: Set<Name>
    private(set) var found: Set<Name> = []

    static func among(_ names: [String], in body: [Syntax.Statement]) -> Set<Name> {
      var search = UndeclaredNames(wanted: Set(names.map(Name.init)))
      search.visit(body)
      return search.found
    }

    private init(wanted: Set<Name>) { self.wanted = wanted }

    private mutating func read(_ expression: Syntax.Expression) {
      expression.forEachName { name in
        let name = Name(name)
        if wanted.contains(name) { found.insert(name) }
      }
    }

    private mutating func store(_ target: Syntax.Target) {
      switch target {
      case .name(let name): wanted.remove(.init(name))
      case .attribute: break
      case .tuple(let targets): for target in targets { store(target) }
      }
    }

    private mutating func visit(_ signature: Syntax.Signature) {
      for parameter in signature.parameters { wanted.remove(.init(parameter.name)) }
      for parameter in signature.parameters { if let initial = parameter.initial { read(initial) } }
    }

    private mutating func visit(_ body: [Syntax.Statement]) {
      for statement in body { visit(statement.kind) }
    }

    private mutating func visit(_ kind: Syntax.Kind) {
      switch kind {
      case .data, .breakLoop, .continueLoop, .block: break
      case .output(let value): read(value)
      case .conditional(let branches, let otherwise):
        for branch in branches {
          read(branch.test)
          visit(branch.body)
        }
        visit(otherwise)
      case .loop(let loop):
        store(loop.target)
        read(loop.source)
        visit(loop.body)
        visit(loop.otherwise)
        if let test = loop.test { read(test) }
      case .set(let target, let value):
        store(target)
        read(value)
      case .setBlock(let target, let filter, let body):
        store(target)
        if let filter { read(filter) }
        visit(body)
      case .macro(_, let signature, let body):
        visit(signature)
        visit(body)
      case .call(let signature, let call, let body):
        read(call)
        visit(signature)
        visit(body)
      case .filter(let filter, let body):
        visit(body)
        read(filter)
      case .with(let values, let body):
        for (target, _) in values { store(target) }
        for (_, value) in values { read(value) }
        visit(body)
      case .generation(let body), .scope(let body): visit(body)
      }
    }
  }
}
