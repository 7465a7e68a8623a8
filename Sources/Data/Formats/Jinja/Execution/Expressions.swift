extension Jinja {
  struct ConstantNode: Evaluable {
    let index: Int
    func evaluate(_ activation: Activation) throws -> Value { activation.runtime.constant(index) }
  }

  struct NameNode: Evaluable {
    let slot: Slot
    let name: String

    func evaluate(_ activation: Activation) throws -> Value {
      let value = activation[slot]
      if case .missing = value { return .undefined(named: Text(name)) }
      return value
    }
  }

  struct CapturedNode: Evaluable {
    func evaluate(_ activation: Activation) throws -> Value { .text(activation.filtered.last ?? Text("")) }
  }

  struct ListNode: Evaluable {
    let items: [any Evaluable]
    let isTuple: Bool

    func evaluate(_ activation: Activation) throws -> Value {
      var values: [Value] = []
      values.reserveCapacity(items.count)
      for item in items { values.append(try item.evaluate(activation)) }
      try activation.runtime.charge(steps: 1 + values.count)
      return isTuple ? try .tuple(values) : try .list(values)
    }
  }

  struct DictNode: Evaluable {
    let pairs: [(key: any Evaluable, value: any Evaluable)]

    func evaluate(_ activation: Activation) throws -> Value {
      var builder = DictBuilder()
      for (key, value) in pairs { try activation.runtime.set(key.evaluate(activation), value.evaluate(activation), in: &builder) }
      try activation.runtime.charge(steps: 1 + pairs.count)
      return .dict(try builder.build())
    }
  }

  struct ConditionalNode: Evaluable {
    let test: any Evaluable
    let then: any Evaluable
    let otherwise: (any Evaluable)?
    let line: Int

    func evaluate(_ activation: Activation) throws -> Value {
      try activation.runtime.step()
      if try test.evaluate(activation).isTrue { return try then.evaluate(activation) }
      guard let otherwise else {
        return .undefined(
          hint: "the inline if-expression on line \(line) evaluated to false and no else section was defined.")
      }
      return try otherwise.evaluate(activation)
    }
  }

  /// `and` and `or` give the operand that decided.
  struct LogicNode: Evaluable {
    let items: [any Evaluable]
    let stopsAt: Bool

    func evaluate(_ activation: Activation) throws -> Value {
      var value = Value.null
      for item in items {
        try activation.runtime.step()
        value = try item.evaluate(activation)
        if value.isTrue == stopsAt { return value }
      }
      return value
    }
  }

  struct NotNode: Evaluable {
    let value: any Evaluable
    func evaluate(_ activation: Activation) throws -> Value { .bool(try !value.evaluate(activation).isTrue) }
  }

  struct SignNode: Evaluable {
    let value: any Evaluable
    let isNegative: Bool
    func evaluate(_ activation: Activation) throws -> Value {
      try activation.runtime.step()
      return try value.evaluate(activation).signed(isNegative: isNegative)
    }
  }

  struct CompareNode: Evaluable {
    let first: any Evaluable
    let rest: [(comparison: Syntax.Comparison, value: any Evaluable)]

    func evaluate(_ activation: Activation) throws -> Value {
      var left = try first.evaluate(activation)
      var result = true
      for (comparison, value) in rest {
        try activation.runtime.step()
        let right = try value.evaluate(activation)
        result = try activation.runtime.compare(left, comparison, right)
        if !result { break }
        left = right
      }
      return .bool(result)
    }
  }

  struct ArithmeticNode: Evaluable {
    let first: any Evaluable
    let rest: [(op: Syntax.Arithmetic, value: any Evaluable)]

    func evaluate(_ activation: Activation) throws -> Value {
      var left = try first.evaluate(activation)
      for (op, value) in rest {
        try activation.runtime.step()
        left = try activation.runtime.arithmetic(left, op, value.evaluate(activation))
      }
      return left
    }
  }

  struct ConcatNode: Evaluable {
    let items: [any Evaluable]

    func evaluate(_ activation: Activation) throws -> Value {
      let runtime = activation.runtime
      var joined: Text?
      for item in items {
        try runtime.step()
        let text = try runtime.text(of: item.evaluate(activation)).plain
        guard let left = joined else {
          joined = text
          continue
        }
        try runtime.reserve(bytes: text.byteCount)
        try runtime.checkLength(left.byteCount + text.byteCount)
        joined = left.appending(text)
      }
      return .text(joined ?? Text(""))
    }
  }

  /// An operand with what follows it.
  struct PostfixNode: Evaluable {
    let value: any Evaluable
    let links: [PostfixLink]

    func evaluate(_ activation: Activation) throws -> Value {
      var value = try value.evaluate(activation)
      for link in links {
        try activation.runtime.step()
        value = try link.apply(to: value, activation)
      }
      return value
    }
  }

  enum PostfixLink: Sendable {
    case attribute([UInt8], constant: Int)
    case item(any Evaluable)
    case slice((any Evaluable)?, (any Evaluable)?, (any Evaluable)?)
    case call(ArgumentNodes)
    /// A method of a value, called where it is named.
    case method(String, constant: Int, ArgumentNodes)
    case filter(String, ArgumentNodes, Builtins.Filter?)
    case test(String, ArgumentNodes, Builtins.Test?, negated: Bool)

    func apply(to value: Value, _ activation: Activation) throws -> Value {
      let runtime = activation.runtime
      switch self {
      case .attribute(_, let constant):
        guard case .text(let name) = runtime.constant(constant) else { return .null }
        return try runtime.attribute(name, of: value)
      case .item(let key): return try runtime.item(key.evaluate(activation), of: value)
      case .slice(let start, let stop, let step):
        return try runtime.slice(value, start?.evaluate(activation), stop?.evaluate(activation), step?.evaluate(activation))
      case .call(let arguments): return try runtime.call(value, arguments.evaluate(activation))
      case .method(let name, let constant, let arguments):
        if let method = runtime.method(name, of: value) { return try method(arguments.evaluate(activation), runtime) }
        guard case .text(let attribute) = runtime.constant(constant) else { return .null }
        let callee = try runtime.attribute(attribute, of: value)
        return try runtime.call(callee, arguments.evaluate(activation))
      case .filter(let name, let arguments, let filter):
        guard let filter else { throw JinjaError.runtime("No filter named '\(name)' found.") }
        return try filter(value, arguments.evaluate(activation), runtime)
      case .test(let name, let arguments, let test, let negated):
        guard let test else { throw JinjaError.runtime("No test named '\(name)' found.") }
        return .bool(try test(value, arguments.evaluate(activation), runtime) != negated)
      }
    }
  }

  struct ArgumentNodes: Sendable {
    var positional: [any Evaluable] = []
    var named: [(name: String, value: any Evaluable)] = []
    var rest: (any Evaluable)?
    var namedRest: (any Evaluable)?

    func evaluate(_ activation: Activation) throws -> Arguments {
      var arguments = Arguments()
      for value in positional { arguments.positional.append(try value.evaluate(activation)) }
      if let rest {
        let next = try activation.runtime.stream(rest.evaluate(activation))
        while let value = try next() { arguments.positional.append(value) }
      }
      for (name, value) in named { arguments.named.append((name, try value.evaluate(activation))) }
      if let namedRest { try append(namedRest.evaluate(activation), to: &arguments) }
      return arguments
    }

    private func append(_ value: Value, to arguments: inout Arguments) throws {
      guard case .dict(let dict) = value else { throw JinjaError.runtime("argument after ** must be a mapping, not \(value.typeName)") }
      var seen = Set(arguments.named.map { Name($0.name) })
      for (key, value) in zip(dict.keys, dict.values) {
        guard case .text(let name) = key else { throw JinjaError.runtime("keywords must be strings") }
        guard seen.insert(Name(name.string)).inserted else {
          throw JinjaError.runtime("got multiple values for keyword argument '\(name.string)'")
        }
        arguments.named.append((name.string, value))
      }
    }
  }
}
