#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Jinja.Builtins {
  static let numberFilters: [String: Filter] = [
    "int": { value, arguments, runtime in
      let bound = try arguments.bind("int", ["default", "base"])
      return try integer(value, default: bound[0] ?? .int(0), base: bound[1]?.expectInt("int") ?? 10)
    },
    "float": { value, arguments, runtime in
      let standard = try arguments.bind("float", ["default"])[0] ?? .float(0)
      switch value {
      case .float: return value
      case .int, .bool: return .float(Double(value.index ?? 0))
      case .text(let text): return Jinja.PythonFloat.parse(text).map { .float($0) } ?? standard
      case .undefined(let undefined): throw undefined.error
      default: return standard
      }
    },
    "abs": { value, arguments, _ in
      _ = try arguments.bind("abs", [])
      switch value {
      case .float(let number): return .float(number.magnitude)
      case .int(let number) where number < 0: return try value.signed(isNegative: true)
      case .int, .bool: return .int(value.index ?? 0)
      case .undefined(let undefined): throw undefined.error
      default: throw JinjaError.runtime("bad operand type for abs(): '\(value.typeName)'")
      }
    },
    "round": { value, arguments, runtime in
      let bound = try arguments.bind("round", ["precision", "method"])
      return try rounded(value, precision: bound[0]?.expectInt("round") ?? 0, method: bound[1] ?? Value("common"), runtime)
    },
    "sum": { value, arguments, runtime in
      let bound = try arguments.bind("sum", ["attribute", "start"])
      let path = Path(bound[0])
      var sum = bound[1] ?? .int(0)
      if case .text = sum { throw JinjaError.runtime("sum() can't sum strings [use ''.join(seq) instead]") }
      let next = try runtime.stream(value)
      while let item = try next() {
        try runtime.step()
        sum = try runtime.arithmetic(sum, .add, path.get(item, runtime))
      }
      return sum
    },
  ]

  static func float(_ value: Value, _ runtime: Runtime) throws -> Double {
    switch value {
    case .float(let number): return number
    case .int, .bool: return Double(value.index ?? 0)
    case .text(let text):
      guard let number = Jinja.PythonFloat.parse(text) else {
        throw JinjaError.runtime("could not convert string to float: \(try runtime.representation(value).string)")
      }
      return number
    case .undefined(let undefined): throw undefined.error
    default: throw JinjaError.runtime("float() argument must be a string or a real number, not '\(value.typeName)'")
    }
  }

  private static func integer(_ value: Value, default standard: Value, base: Int) throws -> Value {
    switch value {
    case .int: return value
    case .bool: return .int(value.index ?? 0)
    case .float(let number): return try truncated(number) ?? standard
    case .text(let text):
      let isBaseValid = base == 0 || (2...36).contains(base)
      if isBaseValid, let number = try Jinja.PythonFloat.parseInteger(text, base: base) { return .int(number) }
      return try Jinja.PythonFloat.parse(text).flatMap { try truncated($0) } ?? standard
    case .undefined(let undefined): throw undefined.error
    default: return standard
    }
  }

  private static func truncated(_ number: Double) throws -> Value? {
    guard number.isFinite else { return nil }
    guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw Runtime.integerOverflow }
    return .int(whole)
  }

  private static func rounded(_ value: Value, precision: Int, method: Value, _ runtime: Runtime) throws -> Value {
    guard case .text(let name) = method, ["common", "ceil", "floor"].contains(name.string) else {
      throw JinjaError.runtime("method must be common, ceil or floor")
    }
    if case .undefined(let undefined) = value { throw undefined.error }
    if name.string == "common" {
      if case .float(let number) = value { return .float(Jinja.PythonFloat.rounded(number, digits: precision)) }
      guard let number = value.index else { throw JinjaError.runtime("type \(value.typeName) doesn't define __round__ method") }
      return precision >= 0 ? .int(number) : try .int(rounded(number, toPowerOfTen: -precision))
    }
    guard value.index != nil || value.isFloat else { throw JinjaError.runtime("must be real number, not \(value.typeName)") }
    let scale = precision >= 0 ? pow(10, Double(precision)) : 1 / pow(10, Double(-precision))
    let scaled = try float(value, runtime) * scale
    guard scaled.isFinite else { throw JinjaError.runtime("cannot convert float infinity or NaN to integer") }
    // The whole number is an integer on the way, which has no negative zero.
    return .float((scaled.rounded(name.string == "ceil" ? .up : .down) + 0.0) / scale)
  }

  /// Half to even, as Python rounds integers to tens and hundreds.
  private static func rounded(_ number: Int, toPowerOfTen power: Int) throws -> Int {
    guard power < 19 else { return 0 }
    let unit = (0..<power).reduce(1) { value, _ in value * 10 }
    let remainder = number % unit
    let base = number - remainder
    let half = unit / 2
    let isUp = remainder.magnitude > half || remainder.magnitude == half && (base / unit) % 2 != 0
    guard isUp else { return base }
    let (result, overflow) = base.addingReportingOverflow(number < 0 ? -unit : unit)
    guard !overflow else { throw Runtime.integerOverflow }
    return result
  }
}

extension Jinja.Value {
  var isFloat: Bool { if case .float = self { true } else { false } }
}
