extension Jinja {
  /// An expression that has been compiled.
  protocol Evaluable: Sendable {
    func evaluate(_ activation: Activation) throws -> Value
  }

  /// Where execution goes after a statement.
  enum Flow { case next, breakLoop, continueLoop }

  /// A statement that has been compiled.
  protocol Executable: Sendable {
    func execute(_ activation: Activation) throws -> Flow
  }

  /// Statements in a row, each with its line.
  struct Body: Sendable {
    var statements: [(line: Int, node: any Executable)] = []

    func run(_ activation: Activation) throws -> Flow {
      for (line, node) in statements {
        do {
          try activation.runtime.step()
          let flow = try node.execute(activation)
          if flow != .next { return flow }
        } catch var error as JinjaError where error.line == nil {
          error.line = line
          throw error
        }
      }
      return .next
    }
  }

  /// What entering a scope does to its variables.
  struct ScopeEntry: Sendable {
    var resolved: [(slot: Slot, name: Int)] = []
    var aliases: [(slot: Slot, source: Slot)] = []
    var emptied: [Slot] = []

    func enter(_ activation: Activation) throws {
      try activation.runtime.charge(steps: (resolved.count + aliases.count + emptied.count) / 8)
      for (slot, name) in resolved { activation[slot] = try activation.runtime.resolve(name) }
      for (slot, source) in aliases { activation[slot] = activation[source] }
      for slot in emptied { activation[slot] = .missing }
    }
  }

  /// What an assignment stores into.
  indirect enum Destination: Sendable {
    case slot(Slot)
    /// A variable of the template's top level, which blocks see too: its slot and its index among the names.
    case exported(Slot, Int)
    case attribute(of: Slot, name: [UInt8])
    case tuple([Destination])

    func store(_ value: Value, _ activation: Activation) throws {
      switch self {
      case .slot(let slot): activation[slot] = value
      case .exported(let slot, let name):
        activation[slot] = value
        activation.runtime.export(name, value)
      case .attribute(let slot, let name):
        guard case .namespace(let namespace) = activation[slot] else { throw Self.notANamespace }
        try activation.runtime.charge(steps: namespace.attributes.count / 16)
        namespace[Text(name)] = value
      case .tuple(let destinations): try unpack(value, into: destinations, activation)
      }
    }

    private func unpack(_ value: Value, into destinations: [Destination], _ activation: Activation) throws {
      let next: Stream
      do { next = try activation.runtime.stream(value) } catch let error as JinjaError where error.kind == .runtime {
        throw JinjaError.runtime("cannot unpack non-iterable \(value.typeName) object")
      }
      var items: [Value] = []
      while items.count <= destinations.count, let item = try next() { items.append(item) }
      guard items.count >= destinations.count else {
        throw JinjaError.runtime("not enough values to unpack (expected \(destinations.count), got \(items.count))")
      }
      guard items.count == destinations.count else {
        throw JinjaError.runtime("too many values to unpack (expected \(destinations.count))")
      }
      for (destination, item) in zip(destinations, items) { try destination.store(item, activation) }
    }

    /// jinja2 checks all namespaces of a target before it evaluates the value.
    func checkNamespaces(_ activation: Activation) throws {
      switch self {
      case .slot, .exported: break
      case .attribute(let slot, _): guard case .namespace = activation[slot] else { throw Self.notANamespace }
      case .tuple(let destinations): for destination in destinations { try destination.checkNamespaces(activation) }
      }
    }

    private static var notANamespace: JinjaError { .runtime("cannot assign attribute on non-namespace object") }
  }
}
