extension Jinja {
  /// The code of a macro, of the body of a call block or of a generation block.
  final class MacroCode: Sendable {
    let name: String?
    let parameters: [(name: String, slot: Slot, initial: (any Evaluable)?)]
    let caller: Slot?
    let namedRest: Slot?
    let rest: Slot?
    let entry: ScopeEntry
    let body: Body
    let slotCount: Int

    init(
      name: String?, parameters: [(name: String, slot: Slot, initial: (any Evaluable)?)], caller: Slot?, namedRest: Slot?, rest: Slot?,
      entry: ScopeEntry, body: Body, slotCount: Int
    ) {
      self.name = name
      self.parameters = parameters
      self.caller = caller
      self.namedRest = namedRest
      self.rest = rest
      self.entry = entry
      self.body = body
      self.slotCount = slotCount
    }
  }

  /// A macro with the variables around its definition.
  final class MacroBox {
    let code: MacroCode
    private let closure: Activation

    init(_ code: MacroCode, closure: Activation) {
      self.code = code
      self.closure = closure
    }

    func call(_ arguments: Arguments) throws -> Text {
      let runtime = closure.runtime
      return try runtime.nestedCall {
        try runtime.withScope(in: closure, slotCount: code.slotCount) { inner in
          try bind(arguments, inner)
          try code.entry.enter(inner)
          for (name, slot, initial) in code.parameters {
            guard case .missing = inner[slot] else { continue }
            inner[slot] =
              try initial?.evaluate(inner) ?? .undefined(.init(hint: "parameter '\(name)' was not provided", name: Text(name)))
          }
          return try runtime.capture { try code.body.run(inner) }.0
        }
      }
    }

    private func bind(_ arguments: Arguments, _ inner: Activation) throws {
      var named = arguments.named
      func take(_ name: String) -> Value? {
        guard let place = named.firstIndex(where: { Name($0.name) == Name(name) }) else { return nil }
        return named.remove(at: place).value
      }
      let given = arguments.positional.count
      var foundCaller = given >= code.parameters.count && code.parameters.contains { $0.name == "caller" }
      for (position, parameter) in code.parameters.enumerated() {
        if position < given {
          inner[parameter.slot] = arguments.positional[position]
        } else if let value = take(parameter.name) {
          inner[parameter.slot] = value
        }
        if position >= given, parameter.name == "caller" { foundCaller = true }
      }
      if let slot = code.caller, !foundCaller {
        let caller = take("caller") ?? .null
        if case .null = caller {
          inner[slot] = .undefined(.init(hint: "No caller defined", name: Text("caller")))
        } else {
          inner[slot] = caller
        }
      }
      try bindRest(arguments, named: named, inner)
    }

    private func bindRest(_ arguments: Arguments, named: [(name: String, value: Value)], _ inner: Activation) throws {
      let name = code.name.map { "'\($0)'" } ?? "None"
      if let slot = code.namedRest {
        var builder = DictBuilder()
        for (name, value) in named { try builder.set(Value(name), value) }
        inner[slot] = .dict(try builder.build())
      } else if let extra = named.first {
        if named.contains(where: { $0.name == "caller" }) {
          throw JinjaError.runtime(
            "macro \(name) was invoked with two values for the special caller argument. This is most likely a bug.")
        }
        throw JinjaError.runtime("macro \(name) takes no keyword argument '\(extra.name)'")
      }
      if let slot = code.rest {
        inner[slot] = try .tuple(Array(arguments.positional.dropFirst(code.parameters.count)))
      } else if arguments.positional.count > code.parameters.count {
        throw JinjaError.runtime("macro \(name) takes not more than \(code.parameters.count) argument(s)")
      }
    }
  }

  struct MacroNode: Executable {
    let code: MacroCode
    let destination: Destination

    func execute(_ activation: Activation) throws -> Flow {
      try destination.store(.macro(MacroBox(code, closure: activation)), activation)
      return .next
    }
  }

  struct CallBlockNode: Executable {
    let code: MacroCode
    let callee: any Evaluable
    let arguments: ArgumentNodes

    func execute(_ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      let callee = try callee.evaluate(activation)
      var arguments = try arguments.evaluate(activation)
      guard !arguments.named.contains(where: { $0.name == "caller" }) else {
        throw JinjaError.runtime("got multiple values for keyword argument 'caller'")
      }
      arguments.named.append(("caller", .macro(MacroBox(code, closure: activation))))
      try runtime.write(runtime.text(of: runtime.call(callee, arguments)).bytes)
      return .next
    }
  }

  /// `{% generation %}`: text that the assistant produced.
  struct GenerationNode: Executable {
    let code: MacroCode

    func execute(_ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      let text = try MacroBox(code, closure: activation).call(Arguments())
      runtime.noteGeneration(text)
      try runtime.write(text.bytes)
      return .next
    }
  }
}
