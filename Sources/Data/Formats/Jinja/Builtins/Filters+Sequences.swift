extension Jinja.Builtins {
  private static func defaulted(_ name: String) -> Filter {
    { value, arguments, _ in
      let bound = try arguments.bind(name, ["default_value", "boolean"])
      let isMissing = value.isUndefined || bound[1]?.isTrue == true && !value.isTrue
      return isMissing ? bound[0] ?? Value("") : value
    }
  }

  private static func counted(_ name: String) -> Filter {
    { value, arguments, runtime in
      _ = try arguments.bind(name, [])
      return .int(try runtime.length(value))
    }
  }

  static let sequenceFilters: [String: Filter] = [
    "default": defaulted("default"),
    "d": defaulted("d"),
    "length": counted("length"),
    "count": counted("count"),
    "list": { value, arguments, runtime in
      _ = try arguments.bind("list", [])
      return try .list(runtime.items(value))
    },
    "first": { value, arguments, runtime in
      _ = try arguments.bind("first", [])
      return try runtime.stream(value)() ?? .undefined(hint: "No first item, sequence was empty.")
    },
    "last": { value, arguments, runtime in
      _ = try arguments.bind("last", [])
      return try reversedStream(value, runtime)() ?? .undefined(hint: "No last item, sequence was empty.")
    },
    "random": { _, _, _ in throw JinjaError.runtime("the filter 'random' is refused: a template must render the same every time") },
    "reverse": { value, arguments, runtime in
      _ = try arguments.bind("reverse", [])
      if case .text(let text) = value {
        try runtime.checkAffords(steps: text.count)
        try runtime.charge(bytes: 4 * text.byteCount)
        return .text(Text(text.characters.reversed().flatMap { Array($0.bytes) }, isMarkup: text.isMarkup))
      }
      // What Python cannot walk backwards becomes a list first.
      if case .iterator = value { return try .list(runtime.items(value).reversed()) }
      return .iterator(try Jinja.IteratorBox(over: value, typeName: "list_reverseiterator", next: reversedStream(value, runtime)))
    },
    "items": { value, arguments, runtime in
      _ = try arguments.bind("items", [])
      return try lazy(over: value) {
        if value.isUndefined { return { nil } }
        guard case .dict(let dict) = value else { throw JinjaError.runtime("Can only get item pairs from a mapping.") }
        return try runtime.stream(.view(Jinja.DictView(.items, of: dict)))
      }
    },
    "attr": { value, arguments, runtime in
      let name = try arguments.bind("attr", ["name"], required: 1)[0]?.expectText("attr") ?? Text("")
      // Only attributes count here, never items.
      if case .dict(let dict) = value, let method = runtime.method(name.string, of: value) {
        return .function(.init(name: name.string, depth: dict.depth, call: method))
      }
      if case .dict = value { return .undefined(.init(owner: "dict object", name: name)) }
      return try runtime.attribute(name, of: value)
    },
    "batch": { value, arguments, runtime in
      let bound = try arguments.bind("batch", ["linecount", "fill_with"], required: 1)
      return try lazy(over: value) { try batches(runtime.stream(value), bound[0] ?? .null, bound[1] ?? .null, runtime) }
    },
    "slice": { value, arguments, runtime in
      let bound = try arguments.bind("slice", ["slices", "fill_with"], required: 1)
      return try lazy(over: value) {
        try slices(runtime.items(value), (bound[0] ?? .null).expectInt("slice"), fill: bound[1] ?? .null, runtime)
      }
    },
  ]

  /// A generator whose work starts when the first item is asked for.
  static func lazy(over source: Value, _ start: @escaping () throws -> Jinja.Stream) throws -> Value {
    var next: Jinja.Stream?
    return .iterator(
      try Jinja.IteratorBox(over: source) {
        if let next { return try next() }
        let started = try start()
        next = started
        return try started()
      })
  }

  private static func reversedStream(_ value: Value, _ runtime: Runtime) throws -> Jinja.Stream {
    switch value {
    case .list, .tuple, .dict, .range, .view, .text: return Runtime.stream(over: try runtime.items(value).reversed())
    case .undefined: return { nil }
    default: throw JinjaError.runtime("'\(value.typeName)' object is not reversible")
    }
  }

  private static func batches(_ next: @escaping Jinja.Stream, _ size: Value, _ fill: Value, _ runtime: Runtime) throws -> Jinja.Stream {
    var batch: [Value] = []
    var isDone = false
    return {
      while !isDone, let item = try next() {
        try runtime.step()
        if try runtime.equals(.int(batch.count), size) {
          defer { batch = [item] }
          return try .list(batch)
        }
        batch.append(item)
      }
      guard !isDone, !batch.isEmpty else {
        isDone = true
        return nil
      }
      isDone = true
      if !fill.isNone {
        let missing = max(try size.expectInt("batch") - batch.count, 0)
        try runtime.charge(steps: missing)
        batch += Array(repeating: fill, count: missing)
      }
      return try .list(batch)
    }
  }

  private static func slices(_ items: [Value], _ count: Int, fill: Value, _ runtime: Runtime) throws -> Jinja.Stream {
    guard count != 0 else { throw JinjaError.runtime("integer division or modulo by zero") }
    guard count > 0 else { return { nil } }
    let size = items.count / count
    let longer = items.count % count
    var number = 0
    var start = 0
    return {
      guard number < count else { return nil }
      try runtime.step()
      let end = start + size + (number < longer ? 1 : 0)
      var slice = Array(items[start..<end])
      if !fill.isNone, number >= longer { slice.append(fill) }
      start = end
      number += 1
      return try .list(slice)
    }
  }
}
