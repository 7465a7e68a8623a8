extension Jinja.Builtins {
  static let orderFilters: [String: Filter] = [
    "sort": { value, arguments, runtime in
      let bound = try arguments.bind("sort", ["reverse", "case_sensitive", "attribute"])
      let paths = Path.several(bound[2])
      let isCaseSensitive = bound[1]?.isTrue ?? false
      let keyed = try runtime.items(value).map { item in
        let keys = try paths.map { path in
          let key = try path.get(item, runtime)
          return isCaseSensitive ? key : try ignoringCase(key, runtime)
        }
        return (key: try Value.list(keys), item: item)
      }
      return try .list(sorted(keyed, reverse: bound[0]?.isTrue ?? false, runtime))
    },
    "dictsort": { value, arguments, runtime in
      let bound = try arguments.bind("dictsort", ["case_sensitive", "by", "reverse"])
      let by = try runtime.text(of: bound[1] ?? Value("key")).string
      guard by == "key" || by == "value" else { throw JinjaError.runtime("You can only sort by either \"key\" or \"value\"") }
      guard case .dict(let dict) = value else {
        if case .undefined(let undefined) = value { throw undefined.error }
        throw JinjaError.runtime("'\(value.typeName)' object has no attribute 'items'")
      }
      let isCaseSensitive = bound[0]?.isTrue ?? false
      let keyed = try (0..<dict.count).map { place in
        let key = by == "key" ? dict.keys[place] : dict.values[place]
        return (key: isCaseSensitive ? key : try ignoringCase(key, runtime), item: try Value.tuple([dict.keys[place], dict.values[place]]))
      }
      return try .list(sorted(keyed, reverse: bound[2]?.isTrue ?? false, runtime))
    },
    "min": extreme("min") { candidate, best, runtime in try runtime.isLess(candidate, best) },
    "max": extreme("max") { candidate, best, runtime in try runtime.compare(candidate, .greater, best) },
    "groupby": { value, arguments, runtime in
      let bound = try arguments.bind("groupby", ["attribute", "default", "case_sensitive"], required: 1)
      let path = Path(bound[0])
      let isCaseSensitive = bound[2]?.isTrue ?? false
      let keyed = try runtime.items(value).map { item in
        let key = try path.get(item, runtime, fallback: bound[1])
        return (key: isCaseSensitive ? key : try ignoringCase(key, runtime), item: item)
      }
      return try .list(groups(keyed, runtime) { isCaseSensitive ? $0 : try path.get($1, runtime, fallback: bound[1]) })
    },
  ]

  /// Python's stable sort, which keeps the order of equal items also where it is reversed.
  private static func sorted(_ keyed: [(key: Value, item: Value)], reverse: Bool, _ runtime: Runtime) throws -> [Value] {
    let order = try keyed.enumerated().sorted { a, b in
      let (first, second) = reverse ? (b.element.key, a.element.key) : (a.element.key, b.element.key)
      if try runtime.isLess(first, second) { return true }
      return try a.offset < b.offset && !runtime.isLess(second, first)
    }
    return order.map(\.element.item)
  }

  private static func extreme(_ name: String, _ isBetter: @escaping @Sendable (Value, Value, Runtime) throws -> Bool) -> Filter {
    { value, arguments, runtime in
      let bound = try arguments.bind(name, ["case_sensitive", "attribute"])
      let path = Path(bound[1])
      let isCaseSensitive = bound[0]?.isTrue ?? false
      var best: (key: Value, item: Value)?
      let next = try runtime.stream(value)
      while let item = try next() {
        try runtime.step()
        let found = try path.get(item, runtime)
        let key = isCaseSensitive ? found : try ignoringCase(found, runtime)
        if let known = best, try !isBetter(key, known.key, runtime) { continue }
        best = (key, item)
      }
      return best?.item ?? .undefined(hint: "No aggregated item, sequence was empty.")
    }
  }

  private static func groups(
    _ keyed: [(key: Value, item: Value)], _ runtime: Runtime, name: (Value, Value) throws -> Value
  ) throws -> [Value] {
    var groups: [(key: Value, items: [Value])] = []
    let indexed = try keyed.map { (key: $0.key, item: try Value.tuple([$0.key, $0.item])) }
    for pair in try sorted(indexed, reverse: false, runtime) {
      guard case .tuple(let box) = pair else { continue }
      if let key = groups.last?.key, try runtime.equals(key, box.items[0]) {
        groups[groups.count - 1].items.append(box.items[1])
      } else {
        groups.append((box.items[0], [box.items[1]]))
      }
    }
    return try groups.map { group in
      .tuple(try Jinja.ListBox([try name(group.key, group.items[0]), try .list(group.items)], isGroup: true))
    }
  }
}
