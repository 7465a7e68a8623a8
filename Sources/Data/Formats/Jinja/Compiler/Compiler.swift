extension Jinja {
  /// Turns syntax into nodes: gives every variable a slot by jinja2's rules of scope, and checks what can be checked ahead.
  struct Compiler {
    /// A scope that is being compiled.
    struct Frame {
      let symbols: Symbols
      /// Whether assignments are seen by template blocks.
      var isTopLevel = false
      /// Whether a `break` has a loop to leave.
      var isInLoop = false
      /// Whether a filter that does not exist is an error only when it is called.
      var isSoft = false

      var function: FunctionScope { symbols.function }

      /// A scope inside this one, of the same function or of a new one.
      func inner(function: FunctionScope? = nil) -> Frame {
        Frame(symbols: Symbols(parent: symbols, function: function ?? symbols.function), isInLoop: function == nil && isInLoop)
      }

      func soft() -> Frame {
        var frame = self
        frame.isSoft = true
        return frame
      }
    }

    var names = NameTable()
    var constants: [Syntax.Constant] = []
    private var functions: [FunctionScope] = []
    private var blocks: Set<Name> = []
    var exportsVariables = false

    static func compile(_ source: String, limits: JinjaLimits) throws -> Template {
      var compiler = Compiler()
      return try compiler.template(Parser.parse(source, limits: limits))
    }

    private mutating func template(_ statements: [Syntax.Statement]) throws -> Template {
      exportsVariables = Self.contains(statements) { if case .block = $0 { true } else { false } }
      let hasGenerationBlocks = Self.contains(statements) { if case .generation = $0 { true } else { false } }
      let function = newFunction(inside: nil)
      var frame = Frame(symbols: Symbols(parent: nil, function: function))
      analyse(frame) { $0.visit(statements) }
      frame.isTopLevel = true
      let entry = entry(of: frame)
      let body = try body(statements, frame)
      return Template(
        names: names.names, constants: constants, entry: entry, body: body, slotCount: function.slotCount,
        hasGenerationBlocks: hasGenerationBlocks)
    }

    /// Whether `matches` holds of a statement or of one inside it.
    private static func contains(_ statements: [Syntax.Statement], _ matches: (Syntax.Kind) -> Bool) -> Bool {
      statements.contains { statement in
        if matches(statement.kind) { return true }
        return switch statement.kind {
        case .data, .output, .set, .breakLoop, .continueLoop: false
        case .conditional(let branches, let otherwise):
          branches.contains { contains($0.body, matches) } || contains(otherwise, matches)
        case .loop(let loop): contains(loop.body, matches) || contains(loop.otherwise, matches)
        case .setBlock(_, _, let body), .macro(_, _, let body), .call(_, _, let body), .filter(_, let body), .with(_, let body),
          .generation(let body), .scope(let body), .block(_, _, let body):
          contains(body, matches)
        }
      }
    }

    mutating func newFunction(inside parent: FunctionScope?) -> FunctionScope {
      let function = FunctionScope(id: functions.count, parent: parent)
      functions.append(function)
      return function
    }

    mutating func add(block name: String, line: Int) throws {
      guard blocks.insert(Name(name)).inserted else { throw JinjaError(.syntax, "block '\(name)' defined twice", line: line) }
    }

    mutating func analyse(_ frame: Frame, _ body: (inout SymbolVisitor) -> Void) {
      var visitor = SymbolVisitor(symbols: frame.symbols, names: names)
      body(&visitor)
      names = visitor.names
    }

    // MARK: Slots

    /// How `function` reaches a slot of itself or of a function around it.
    func slot(_ reference: Reference, from function: FunctionScope) -> Slot {
      var hops = 0
      var place: FunctionScope? = function
      while let at = place, at.id != reference.function {
        hops += 1
        place = at.parent
      }
      return Slot(hops: hops, index: reference.index)
    }

    func slot(_ name: String, _ frame: Frame) throws -> Slot {
      guard let reference = frame.symbols.find(Name(name)) else { throw JinjaError(.syntax, "the name '\(name)' has no place") }
      return slot(reference, from: frame.function)
    }

    func entry(of frame: Frame) -> ScopeEntry {
      var entry = ScopeEntry()
      for reference in frame.symbols.order {
        let slot = slot(reference, from: frame.function)
        switch frame.symbols.loads[reference] {
        case .resolve(let name): entry.resolved.append((slot, name))
        case .alias(let source): entry.aliases.append((slot, self.slot(source, from: frame.function)))
        case .undefined: entry.emptied.append(slot)
        case .parameter, nil: break
        }
      }
      return entry
    }

    mutating func destination(_ target: Syntax.Target, _ frame: Frame) throws -> Destination {
      switch target {
      case .name(let name):
        let slot = try slot(name, frame)
        return frame.isTopLevel && exportsVariables ? .exported(slot, names.index(of: Name(name))) : .slot(slot)
      case .attribute(let name, let attribute): return .attribute(of: try slot(name, frame), name: Array(attribute.utf8))
      case .tuple(let targets):
        var parts: [Destination] = []
        for target in targets { parts.append(try destination(target, frame)) }
        return .tuple(parts)
      }
    }
  }
}
