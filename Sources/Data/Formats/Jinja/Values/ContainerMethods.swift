extension Jinja {
  /// Methods of dictionaries, sequences and numbers that change nothing.
  enum ContainerMethods {
    typealias DictMethod = @Sendable (DictBox, Arguments, Runtime) throws -> Value
    typealias Method = @Sendable (Value, Arguments, Runtime) throws -> Value

    static let dict: [String: DictMethod] = [
      "get": { dict, arguments, runtime in
        let bound = try arguments.positionalOnly("get", 1...2)
        try runtime.chargeKey(bound[0])
        if let place = try dict.place(of: bound[0]) { return dict.values[place] }
        return bound.count > 1 ? bound[1] : .null
      },
      "keys": { dict, arguments, _ in
        _ = try arguments.positionalOnly("keys", 0...0)
        return .view(DictView(.keys, of: dict))
      },
      "values": { dict, arguments, _ in
        _ = try arguments.positionalOnly("values", 0...0)
        return .view(DictView(.values, of: dict))
      },
      "items": { dict, arguments, _ in
        _ = try arguments.positionalOnly("items", 0...0)
        return .view(DictView(.items, of: dict))
      },
      "copy": { dict, arguments, _ in
        _ = try arguments.positionalOnly("copy", 0...0)
        return .dict(try DictBox(copying: dict))
      },
      "fromkeys": { _, arguments, runtime in
        let bound = try arguments.positionalOnly("fromkeys", 1...2)
        var builder = DictBuilder()
        for key in try runtime.items(bound[0]) { try builder.set(key, bound.count > 1 ? bound[1] : .null) }
        return .dict(try builder.build())
      },
    ]

    static let sequence: [String: Method] = [
      "count": { value, arguments, runtime in
        let wanted = try arguments.positionalOnly("count", 1...1)[0]
        var count = 0
        for item in try runtime.items(value) where try Runtime.isSame(item, wanted) || runtime.equals(item, wanted) { count += 1 }
        return .int(count)
      },
      "index": { value, arguments, runtime in
        let bound = try arguments.positionalOnly("index", 1...3)
        let items = try runtime.items(value)
        let window = Runtime.Window(
          count: items.count, start: bound.count > 1 ? try bound[1].expectInt("index") : nil,
          stop: bound.count > 2 ? try bound[2].expectInt("index") : nil, step: 1)
        for place in window.indices where try runtime.equals(items[place], bound[0]) { return .int(place) }
        throw JinjaError.runtime("\(try runtime.representation(bound[0]).string) is not in list")
      },
      "copy": { value, arguments, _ in
        _ = try arguments.positionalOnly("copy", 0...0)
        guard case .list(let box) = value else { return value }
        return try .list(box.items)
      },
    ]

    static func number(_ name: String, of value: Value) -> Method? {
      switch (name, value) {
      case ("is_integer", .float(let number)): { _, _, _ in .bool(number.isFinite && number == number.rounded()) }
      case ("bit_length", .int), ("bit_length", .bool):
        { value, _, _ in .int(Int.bitWidth - (value.index ?? 0).magnitude.leadingZeroBitCount) }
      case ("bit_count", .int), ("bit_count", .bool): { value, _, _ in .int((value.index ?? 0).magnitude.nonzeroBitCount) }
      case ("conjugate", .bool): { value, _, _ in .int(value.index ?? 0) }
      case ("conjugate", _): { value, _, _ in value }
      default: nil
      }
    }
  }
}
