extension Jinja.Builtins {
  /// The most items that the sandbox lets a range have.
  private static let longestRange = 100_000

  /// The built-in variable `name`.
  static func global(_ name: String) -> Value? {
    globals[name].map { call in .function(.init(name: name, depth: 0, call: { try call($0, $1) })) }
  }

  private static let globals: [String: @Sendable (Arguments, Runtime) throws -> Value] = [
    "range": { arguments, _ in
      let bounds = try arguments.positionalOnly("range", 1...3).map { try $0.expectInt("range") }
      let range = try Jinja.PythonRange(
        start: bounds.count > 1 ? bounds[0] : 0, stop: bounds.count > 1 ? bounds[1] : bounds[0], step: bounds.count > 2 ? bounds[2] : 1)
      guard range.count <= longestRange else {
        throw JinjaError(.limit, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (\(longestRange)).")
      }
      return .range(range)
    },
    "dict": { arguments, runtime in .dict(try dict("dict", arguments, runtime)) },
    "namespace": { arguments, runtime in
      let namespace = Jinja.NamespaceBox()
      runtime.own(namespace)
      let attributes = try dict("namespace", arguments, runtime)
      for (key, value) in zip(attributes.keys, attributes.values) { if case .text(let name) = key { namespace[name] = value } }
      return .namespace(namespace)
    },
    "cycler": { arguments, _ in
      guard arguments.named.isEmpty else { throw JinjaError.runtime("cycler() takes no keyword arguments") }
      guard !arguments.positional.isEmpty else { throw JinjaError.runtime("at least one item has to be provided") }
      return .helper(try Jinja.Helper(.cycler, arguments.positional))
    },
    "joiner": { arguments, _ in .helper(try Jinja.Helper(.joiner, [arguments.bind("joiner", ["sep"])[0] ?? Value(", ")])) },
    "lipsum": { _, _ in throw JinjaError.runtime("lipsum() is refused: a template must render the same every time") },
    "raise_exception": { arguments, runtime in
      let message = try arguments.bind("raise_exception", ["message"], required: 1)[0] ?? .null
      throw JinjaError(.raised, try runtime.text(of: message).string)
    },
    "strftime_now": { arguments, runtime in
      let format = try arguments.bind("strftime_now", ["format"], required: 1)[0]?.expectText("strftime_now") ?? Text("")
      try runtime.reserve(bytes: 16 * format.byteCount)
      return Value((runtime.now ?? .current).formatted(format.string))
    },
  ]

  private static func dict(_ function: String, _ arguments: Arguments, _ runtime: Runtime) throws -> Jinja.DictBox {
    var builder = Jinja.DictBuilder()
    if let value = arguments.positional.first {
      guard arguments.positional.count == 1 else {
        throw JinjaError.runtime("\(function) expected at most 1 argument, got \(arguments.positional.count)")
      }
      if case .dict(let dict) = value {
        try runtime.charge(steps: dict.count)
        for (key, value) in zip(dict.keys, dict.values) { try runtime.set(key, value, in: &builder) }
      } else {
        for pair in try runtime.items(value) {
          let items = try runtime.items(pair)
          guard items.count == 2 else {
            throw JinjaError.runtime("dictionary update sequence element has length \(items.count); 2 is required")
          }
          try runtime.set(items[0], items[1], in: &builder)
        }
      }
    }
    for (name, value) in arguments.named { try builder.set(Value(name), value) }
    return try builder.build()
  }
}
