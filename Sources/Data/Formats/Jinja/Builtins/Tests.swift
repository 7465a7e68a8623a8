extension Jinja.Builtins {
  private static func plain(_ name: String, _ holds: @escaping @Sendable (Value) throws -> Bool) -> Test {
    { value, arguments, _ in
      _ = try arguments.bind(name, [])
      return try holds(value)
    }
  }

  private static func comparing(_ name: String, _ comparison: Jinja.Syntax.Comparison) -> Test {
    { value, arguments, runtime in try runtime.compare(value, comparison, arguments.positionalOnly(name, 1...1)[0]) }
  }

  private static func remainder(_ name: String, _ wanted: Int) -> Test {
    { value, arguments, runtime in
      _ = try arguments.bind(name, [])
      return try runtime.equals(runtime.arithmetic(value, .modulo, .int(2)), .int(wanted))
    }
  }

  static let tests: [String: Test] = kindTests.merging(relationTests) { a, _ in a }

  private static let kindTests: [String: Test] = [
    "defined": plain("defined") { !$0.isUndefined },
    "undefined": plain("undefined") { $0.isUndefined },
    "none": plain("none") { $0.isNone },
    "boolean": plain("boolean") { if case .bool = $0 { true } else { false } },
    "false": plain("false") { if case .bool(false) = $0 { true } else { false } },
    "true": plain("true") { if case .bool(true) = $0 { true } else { false } },
    "integer": plain("integer") { if case .int = $0 { true } else { false } },
    "float": plain("float") { $0.isFloat },
    "number": plain("number") { $0.index != nil || $0.isFloat },
    "string": plain("string") { $0.text != nil },
    "mapping": plain("mapping") { if case .dict = $0 { true } else { false } },
    "sequence": plain("sequence") {
      switch $0 {
      // An undefined value has a length, and gives an error in place of every item.
      case .text, .list, .tuple, .dict, .range, .undefined: true
      default: false
      }
    },
    "iterable": plain("iterable") {
      switch $0 {
      case .text, .list, .tuple, .dict, .range, .view, .iterator, .undefined, .loop: true
      default: false
      }
    },
    "callable": plain("callable") {
      switch $0 {
      case .function, .macro, .loop, .undefined: true
      case .helper(let helper): helper.kind == .joiner
      default: false
      }
    },
    "escaped": plain("escaped") { $0.text?.isMarkup == true },
    "lower": { value, arguments, runtime in
      _ = try arguments.bind("lower", [])
      return try runtime.text(of: value).isLower
    },
    "upper": { value, arguments, runtime in
      _ = try arguments.bind("upper", [])
      return try runtime.text(of: value).isUpper
    },
    "filter": plain("filter") {
      _ = try Jinja.Key($0)
      return $0.text.map { filters[$0.string] != nil } ?? false
    },
    "test": plain("test") { value in
      _ = try Jinja.Key(value)
      return value.text.map { isTest($0.string) } ?? false
    },
  ]

  private static func isTest(_ name: String) -> Bool { tests[name] != nil }

  private static let relationTests: [String: Test] = [
    "odd": remainder("odd", 1),
    "even": remainder("even", 0),
    "divisibleby": { value, arguments, runtime in
      let number = try arguments.bind("divisibleby", ["num"], required: 1)[0] ?? .null
      return try runtime.equals(runtime.arithmetic(value, .modulo, number), .int(0))
    },
    "sameas": { value, arguments, _ in Runtime.isSame(value, try arguments.bind("sameas", ["other"], required: 1)[0] ?? .null) },
    "in": { value, arguments, runtime in try runtime.contains(arguments.bind("in", ["seq"], required: 1)[0] ?? .null, value) },
    "==": comparing("eq", .equal), "eq": comparing("eq", .equal), "equalto": comparing("eq", .equal),
    "!=": comparing("ne", .notEqual), "ne": comparing("ne", .notEqual),
    ">": comparing("gt", .greater), "gt": comparing("gt", .greater), "greaterthan": comparing("gt", .greater),
    ">=": comparing("ge", .greaterOrEqual), "ge": comparing("ge", .greaterOrEqual),
    "<": comparing("lt", .less), "lt": comparing("lt", .less), "lessthan": comparing("lt", .less),
    "<=": comparing("le", .lessOrEqual), "le": comparing("le", .lessOrEqual),
  ]
}
