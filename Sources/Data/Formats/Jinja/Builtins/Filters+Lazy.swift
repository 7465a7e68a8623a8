extension Jinja.Builtins {
  /// `map`, `select`, `reject`, `selectattr`, `rejectattr` and `unique`: generators.
  static let lazyFilters: [String: Filter] = [
    "map": { value, arguments, runtime in
      try lazy(over: value) {
        guard value.isTrue else { return { nil } }
        let change = try mapping(arguments, runtime)
        let next = try runtime.stream(value)
        return {
          guard let item = try next() else { return nil }
          try runtime.step()
          return try change(item)
        }
      }
    },
    "select": { try selecting($0, $1, $2, wants: true, byAttribute: false) },
    "reject": { try selecting($0, $1, $2, wants: false, byAttribute: false) },
    "selectattr": { try selecting($0, $1, $2, wants: true, byAttribute: true) },
    "rejectattr": { try selecting($0, $1, $2, wants: false, byAttribute: true) },
    "unique": { value, arguments, runtime in
      let bound = try arguments.bind("unique", ["case_sensitive", "attribute"])
      let path = Path(bound[1])
      let isCaseSensitive = bound[0]?.isTrue ?? false
      return try lazy(over: value) {
        let next = try runtime.stream(value)
        var seen: Set<Jinja.Key> = []
        return {
          while let item = try next() {
            try runtime.step()
            let key = try path.get(item, runtime)
            try runtime.chargeKey(key)
            if seen.insert(try Jinja.Key(isCaseSensitive ? key : ignoringCase(key, runtime))).inserted { return item }
          }
          return nil
        }
      }
    },
  ]

  private static func mapping(_ arguments: Arguments, _ runtime: Runtime) throws -> (Value) throws -> Value {
    if arguments.positional.isEmpty, let attribute = arguments.named.first(where: { $0.name == "attribute" }) {
      let fallback = arguments.named.first { $0.name == "default" }
      if let other = arguments.named.first(where: { $0.name != "attribute" && $0.name != "default" }) {
        throw JinjaError.runtime("Unexpected keyword argument '\(other.name)'")
      }
      let path = Path(attribute.value)
      return { try path.get($0, runtime, fallback: fallback?.value) }
    }
    guard let name = arguments.positional.first else { throw JinjaError.runtime("map requires a filter argument") }
    let rest = Arguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
    return { try filter(name, runtime)($0, rest, runtime) }
  }

  private static func selecting(
    _ value: Value, _ arguments: Arguments, _ runtime: Runtime, wants: Bool, byAttribute: Bool
  ) throws -> Value {
    try lazy(over: value) {
      guard value.isTrue else { return { nil } }
      if byAttribute, arguments.positional.isEmpty { throw JinjaError.runtime("Missing parameter for attribute name") }
      let path = Path(byAttribute ? arguments.positional[0] : nil)
      let offset = byAttribute ? 1 : 0
      let name = arguments.positional.count > offset ? arguments.positional[offset] : nil
      let rest = Arguments(positional: Array(arguments.positional.dropFirst(offset + 1)), named: arguments.named)
      let next = try runtime.stream(value)
      return {
        while let item = try next() {
          try runtime.step()
          let subject = try path.get(item, runtime)
          let holds = try name.map { try test($0, runtime)(subject, rest, runtime) } ?? subject.isTrue
          if holds == wants { return item }
        }
        return nil
      }
    }
  }
}
