extension Jinja {
  /// The parts of a `for` that its plain and its recursive form share.
  struct LoopCode: Sendable {
    let entry: ScopeEntry
    let destination: Destination
    /// The slot of `loop`, where the body uses it.
    let loopSlot: Slot?
    let body: Body
    let otherwise: (entry: ScopeEntry, body: Body)?

    func run(over source: Value, recursion: LoopRecursion?, depth: Int, _ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      let next = try runtime.stream(source)
      let isUntouched: Bool
      if let loopSlot {
        var loop = LoopBox(source, next: next, recursion: recursion, depth: depth)
        activation[loopSlot] = .missing
        defer {
          activation[loopSlot] = .missing
          runtime.ownIfShared(&loop)
        }
        isUntouched = try iterate(loop.advance, activation) { activation[loopSlot] = .loop(loop) }
      } else {
        isUntouched = try iterate(next, activation) {}
      }
      guard isUntouched, let otherwise else { return .next }
      try otherwise.entry.enter(activation)
      return try otherwise.body.run(activation)
    }

    /// Whether no iteration reached the end of the body: as in jinja2, `else` runs then.
    private func iterate(_ next: Stream, _ activation: Activation, begin: () -> Void) throws -> Bool {
      var isUntouched = true
      while let item = try next() {
        try activation.runtime.step()
        try destination.store(item, activation)
        begin()
        try entry.enter(activation)
        let flow = try body.run(activation)
        if flow == .breakLoop { break }
        if flow == .next { isUntouched = false }
      }
      return isUntouched
    }
  }

  struct LoopNode: Executable {
    let source: any Evaluable
    let filter: LoopFilter?
    let code: LoopCode

    func execute(_ activation: Activation) throws -> Flow {
      let source = try source.evaluate(activation)
      return try code.run(over: filter?.apply(to: source, activation) ?? source, recursion: nil, depth: 0, activation)
    }
  }

  /// `for x in y if test`: a generator with variables of its own.
  struct LoopFilter: Sendable {
    let entry: ScopeEntry
    let destination: Destination
    let test: any Evaluable
    let slotCount: Int

    func apply(to source: Value, _ activation: Activation) throws -> Value {
      let runtime = activation.runtime
      let next = try runtime.stream(source)
      let inner = Activation(runtime: runtime, parent: activation, slotCount: slotCount)
      var hasEntered = false
      return .iterator(
        try IteratorBox(over: source) {
          if !hasEntered { try entry.enter(inner) }
          hasEntered = true
          while let item = try next() {
            try runtime.step()
            try destination.store(item, inner)
            if try test.evaluate(inner).isTrue { return item }
          }
          return nil
        })
    }
  }

  /// `for … recursive`: a function that `loop(items)` calls again.
  struct RecursiveLoopNode: Executable {
    let source: any Evaluable
    let filter: LoopFilter?
    let code: LoopCode
    let slotCount: Int

    func execute(_ activation: Activation) throws -> Flow {
      let recursion = LoopRecursion(node: self, activation: activation)
      try activation.runtime.write(recursion.render(source.evaluate(activation), depth: 0).bytes)
      return .next
    }
  }

  struct LoopRecursion {
    let node: RecursiveLoopNode
    let activation: Activation

    func render(_ source: Value, depth: Int) throws -> Text {
      let runtime = activation.runtime
      return try runtime.nestedCall {
        try runtime.withScope(in: activation, slotCount: node.slotCount) { inner in
          let source = try node.filter?.apply(to: source, inner) ?? source
          return try runtime.capture { try node.code.run(over: source, recursion: self, depth: depth, inner) }.0
        }
      }
    }
  }

  /// The variable `loop`.
  final class LoopBox: Emptiable {
    private var source: Value
    private var base: Stream
    private var recursion: LoopRecursion?
    let depth: Int
    private(set) var index = -1
    private var knownCount: Int?
    /// Items that were taken from the source ahead of their turn.
    private var ahead: ArraySlice<Value> = []
    private(set) var previous: Value?
    private var current: Value?
    private var lastChanged: [Value]?
    var valueDepth: Int { source.depth + 1 }

    init(_ source: Value, next: @escaping Stream, recursion: LoopRecursion?, depth: Int) {
      self.source = source
      base = next
      self.recursion = recursion
      self.depth = depth
    }

    func empty() {
      (source, base, recursion) = (.null, { nil }, nil)
      (ahead, previous, current, lastChanged) = ([], nil, nil, nil)
    }

    func advance() throws -> Value? {
      guard let item = try ahead.popFirst() ?? base() else { return nil }
      index += 1
      previous = current
      current = item
      return item
    }

    func peek() throws -> Value? {
      if ahead.isEmpty, let item = try base() { ahead.append(item) }
      return ahead.first
    }

    func count(_ runtime: Runtime) throws -> Int {
      if let knownCount { return knownCount }
      if let count = source.knownLength {
        knownCount = count
        return count
      }
      while let item = try base() {
        try runtime.step()
        ahead.append(item)
      }
      let count = index + 1 + ahead.count
      knownCount = count
      return count
    }

    func render(_ value: Value) throws -> Text {
      guard let recursion else {
        throw JinjaError.runtime("The loop must have the 'recursive' marker to be called recursively.")
      }
      return try recursion.render(value, depth: depth + 1)
    }

    func hasChanged(_ values: [Value], _ runtime: Runtime) throws -> Bool {
      if let lastChanged, try runtime.equals(lastChanged, values) { return false }
      lastChanged = values
      return true
    }
  }
}
