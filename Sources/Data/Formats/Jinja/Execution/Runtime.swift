extension Jinja {
  /// One rendering: its variables, its output and what it has used up.
  final class Runtime {
    let limits: JinjaLimits
    let now: JinjaDate?
    private let template: Template
    private let variables: JSONObject
    private var steps = 0
    private var bytesTowardsStep = 0
    private var resolved: [Value?]
    private var exports: [Value?]
    private var constants: [Value?]
    /// The output and, above it, what is being captured.
    private var outputs: [[UInt8]] = [[]]
    private var counted = (bytes: 0, scalars: 0)
    private var callDepth = 0
    private var owned: [any Emptiable] = []
    private(set) var generationSpans: [Range<Int>] = []

    init(template: Template, variables: JSONObject, now: JinjaDate?, limits: JinjaLimits) {
      self.template = template
      self.variables = variables
      self.now = now
      self.limits = limits
      resolved = Array(repeating: nil, count: template.names.count)
      exports = resolved
      constants = Array(repeating: nil, count: template.constants.count)
    }

    // MARK: Budgets

    func step() throws {
      steps += 1
      if steps > limits.steps { throw JinjaError(.limit, "the template needs more than \(limits.steps) steps") }
    }

    func charge(steps count: Int) throws {
      let (sum, overflow) = steps.addingReportingOverflow(max(count, 0))
      steps = overflow ? .max : sum
      if steps > limits.steps { throw JinjaError(.limit, "the template needs more than \(limits.steps) steps") }
    }

    /// Fails where so many steps are not left, without taking them: before work whose size is only known to be no larger.
    func checkAffords(steps count: Int) throws {
      if count > limits.steps - steps { throw JinjaError(.limit, "the template needs more than \(limits.steps) steps") }
    }

    /// Charges the making or searching of so many bytes of text.
    func charge(bytes count: Int) throws {
      bytesTowardsStep += count
      guard bytesTowardsStep >= 64 else { return }
      try charge(steps: bytesTowardsStep / 64)
      bytesTowardsStep %= 64
    }

    /// Charges a text of so many bytes before it is made.
    func reserve(bytes count: Int) throws {
      guard count <= limits.outputBytes else {
        throw JinjaError(.limit, "the template makes a text of more than \(limits.outputBytes) bytes")
      }
      try charge(bytes: count)
    }

    func nestedCall<Result>(_ body: () throws -> Result) throws -> Result {
      callDepth += 1
      defer { callDepth -= 1 }
      guard callDepth <= limits.callDepth else { throw JinjaError(.limit, "calls nested deeper than \(limits.callDepth)") }
      return try body()
    }

    // MARK: Variables

    /// The value of the template's name number `index`: set by the template at its top level, passed to the render, or built in.
    func resolve(_ index: Int) throws -> Value {
      if let exported = exports[index] { return exported }
      if let known = resolved[index] { return known }
      let name = template.names[index]
      let value = try variables[name].map { try Value($0) } ?? Builtins.global(name) ?? .missing
      resolved[index] = value
      return value
    }

    func export(_ index: Int, _ value: Value) { exports[index] = value }

    func constant(_ index: Int) -> Value {
      if let known = constants[index] { return known }
      let value = Value(template.constants[index])
      constants[index] = value
      return value
    }

    // MARK: Output

    func write(_ bytes: some Collection<UInt8>) throws {
      guard outputs[outputs.count - 1].count + bytes.count <= limits.outputBytes else {
        throw JinjaError(.limit, "the output is longer than \(limits.outputBytes) bytes")
      }
      try charge(bytes: bytes.count)
      outputs[outputs.count - 1].append(contentsOf: bytes)
    }

    /// Runs `body` and takes what it wrote.
    func capture<Result>(_ body: () throws -> Result) throws -> (Text, Result) {
      outputs.append([])
      do {
        let result = try body()
        return (Text(outputs.removeLast()), result)
      } catch {
        outputs.removeLast()
        throw error
      }
    }

    var output: [UInt8] { outputs[0] }

    /// Notes text that the assistant produced and that is written next.
    ///
    /// Its place is that of the template's own output, as in transformers: within a macro or a captured block it is where the output
    /// stood when that was entered.
    func noteGeneration(_ text: Text) {
      counted.scalars += outputs[0][counted.bytes...].scalarCount
      counted.bytes = outputs[0].count
      generationSpans.append(counted.scalars..<counted.scalars + text.count)
    }

    // MARK: Ownership

    /// Takes over what outlives the statement that made it.
    func own(_ object: any Emptiable) { owned.append(object) }

    /// Takes over `object` where something besides the caller's variable holds it.
    func ownIfShared(_ object: inout some Emptiable) { if !isKnownUniquelyReferenced(&object) { owned.append(object) } }

    /// Runs `body` with variables of its own. They live on where a macro or an iterator that `body` made refers to them.
    func withScope<Result>(in parent: Activation?, slotCount: Int, _ body: (Activation) throws -> Result) throws -> Result {
      try charge(steps: slotCount / 8)
      var scope = Activation(runtime: self, parent: parent, slotCount: slotCount)
      defer { ownIfShared(&scope) }
      return try body(scope)
    }

    /// The end of the rendering: nothing that it made holds anything any more.
    func finish() {
      for object in owned { object.empty() }
      owned = []
      resolved = []
      exports = []
    }
  }

  /// What a template can store values into after it was made, and what may therefore come to hold itself: scopes, loops and namespaces.
  ///
  /// The rendering owns those that outlive the statement that made them, and empties them when it ends. So nothing leaks, and a chain of
  /// them, however long, is not taken apart by recursion.
  protocol Emptiable: AnyObject { func empty() }

  /// The variables of one call of a function.
  final class Activation: Emptiable {
    let runtime: Runtime
    let parent: Activation?
    var slots: [Value]
    /// What filter and filtered set blocks captured, innermost last.
    var filtered: [Text] = []

    init(runtime: Runtime, parent: Activation?, slotCount: Int) {
      self.runtime = runtime
      self.parent = parent
      slots = Array(repeating: .missing, count: slotCount)
    }

    func empty() { slots = [] }

    private func owner(_ hops: Int) -> Activation {
      var owner = self
      for _ in 0..<hops { if let parent = owner.parent { owner = parent } }
      return owner
    }

    subscript(slot: Slot) -> Value {
      get { slot.hops == 0 ? slots[slot.index] : owner(slot.hops).slots[slot.index] }
      set { if slot.hops == 0 { slots[slot.index] = newValue } else { owner(slot.hops).slots[slot.index] = newValue } }
    }
  }

  /// A compiled template.
  struct Template: Sendable {
    let names: [String]
    let constants: [Syntax.Constant]
    let entry: ScopeEntry
    let body: Body
    let slotCount: Int
    let hasGenerationBlocks: Bool

    func render(_ runtime: Runtime) throws {
      defer { runtime.finish() }
      _ = try runtime.withScope(in: nil, slotCount: slotCount) { root in
        try entry.enter(root)
        return try body.run(root)
      }
    }
  }
}

extension Jinja.Value {
  init(_ constant: Jinja.Syntax.Constant) {
    switch constant {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .float(let value): self = .float(value)
    case .string(let value): self = Value(value)
    }
  }
}
