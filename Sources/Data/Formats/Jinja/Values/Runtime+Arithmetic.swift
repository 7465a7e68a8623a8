#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Jinja.Value {
  fileprivate enum Number {
    case int(Int)
    case float(Double)
    var double: Double {
      switch self {
      case .int(let value): Double(value)
      case .float(let value): value
      }
    }
  }

  fileprivate var number: Number? {
    if case .float(let value) = self { return .float(value) }
    return index.map { .int($0) }
  }

  /// `+value` or `-value`.
  func signed(isNegative: Bool) throws -> Value {
    switch number {
    case .int(let value):
      let (negative, overflow) = Int(0).subtractingReportingOverflow(value)
      if isNegative, overflow { throw Jinja.Runtime.integerOverflow }
      return .int(isNegative ? negative : value)
    case .float(let value): return .float(isNegative ? -value : value)
    case nil:
      if case .undefined(let undefined) = self { throw undefined.error }
      throw JinjaError.runtime("bad operand type for unary \(isNegative ? "-" : "+"): '\(typeName)'")
    }
  }
}

extension Jinja.Runtime {
  static var integerOverflow: JinjaError { .runtime("integer overflow: a result lies outside 64 bits") }

  /// Fails where a text of so many bytes would be too long.
  func checkLength(_ count: Int) throws {
    guard count <= limits.outputBytes else {
      throw JinjaError(.limit, "the template makes a text of more than \(limits.outputBytes) bytes")
    }
  }

  /// Python's binary operators on numbers, strings, lists and tuples.
  func arithmetic(_ a: Value, _ op: Jinja.Syntax.Arithmetic, _ b: Value) throws -> Value {
    if op == .modulo, case .text(let format) = a { return .text(try percentFormat(format, b)) }
    if let a = a.number, let b = b.number { return try arithmetic(a, op, b) }
    switch (op, a, b) {
    case (.add, .text(let a), .text(let b)): return .text(try add(a, b))
    case (.add, .list(let a), .list(let b)): return try .list(add(a.items, b.items))
    case (.add, .tuple(let a), .tuple(let b)): return try .tuple(add(a.items, b.items))
    case (.multiply, .text, _), (.multiply, .list, _), (.multiply, .tuple, _):
      if let count = b.index { return try times(a, count) }
    case (.multiply, _, .text), (.multiply, _, .list), (.multiply, _, .tuple):
      if let count = a.index { return try times(b, count) }
    default: break
    }
    for case .undefined(let undefined) in [a, b] { throw undefined.error }
    throw unsupported(a, op, b)
  }

  private func unsupported(_ a: Value, _ op: Jinja.Syntax.Arithmetic, _ b: Value) -> JinjaError {
    switch (op, a) {
    case (.add, .text), (.add, .list), (.add, .tuple):
      return .runtime("can only concatenate \(a.typeName) (not \"\(b.typeName)\") to \(a.typeName)")
    case (.multiply, .text), (.multiply, .list), (.multiply, .tuple):
      return .runtime("can't multiply sequence by non-int of type '\(b.typeName)'")
    default: return .runtime("unsupported operand type(s) for \(op.rawValue): '\(a.typeName)' and '\(b.typeName)'")
    }
  }

  private func add(_ a: Text, _ b: Text) throws -> Text {
    // Text that counts as HTML escapes what is added to it.
    let isMarkup = a.isMarkup || b.isMarkup
    let left = isMarkup && !a.isMarkup ? try escaped(a) : a
    let right = isMarkup && !b.isMarkup ? try escaped(b) : b
    try charge(bytes: right.byteCount)
    try checkLength(left.byteCount + right.byteCount)
    return left.appending(right)
  }

  private func add(_ a: [Value], _ b: [Value]) throws -> [Value] {
    try charge(steps: (a.count + b.count) / 4)
    return a + b
  }

  private func times(_ value: Value, _ count: Int) throws -> Value {
    let count = max(count, 0)
    switch value {
    case .text(let text):
      let (bytes, overflow) = text.byteCount.multipliedReportingOverflow(by: count)
      try reserve(bytes: overflow ? .max : bytes)
      var result: [UInt8] = []
      result.reserveCapacity(bytes)
      if bytes > 0 { for _ in 0..<count { result += text.bytes } }
      return .text(Text(result, isMarkup: text.isMarkup))
    case .list(let box): return try .list(times(box.items, count))
    case .tuple(let box): return try .tuple(times(box.items, count))
    default: return value
    }
  }

  private func times(_ items: [Value], _ count: Int) throws -> [Value] {
    let (total, overflow) = items.count.multipliedReportingOverflow(by: count)
    try charge(steps: overflow ? .max : total)
    return total == 0 ? [] : (0..<count).flatMap { _ in items }
  }

  // MARK: Numbers

  private func arithmetic(_ a: Value.Number, _ op: Jinja.Syntax.Arithmetic, _ b: Value.Number) throws -> Value {
    if case .int(let a) = a, case .int(let b) = b { return try arithmetic(a, op, b) }
    let (x, y) = (a.double, b.double)
    switch op {
    case .add: return .float(x + y)
    case .subtract: return .float(x - y)
    case .multiply: return .float(x * y)
    case .divide:
      guard y != 0 else { throw JinjaError.runtime("float division by zero") }
      return .float(x / y)
    case .floorDivide:
      guard y != 0 else { throw JinjaError.runtime("float floor division by zero") }
      return .float(Self.floorDivided(x, y).quotient)
    case .modulo:
      guard y != 0 else { throw JinjaError.runtime("float modulo") }
      return .float(Self.floorDivided(x, y).remainder)
    case .power: return .float(try power(x, y))
    }
  }

  /// Python's `divmod` of floats.
  private static func floorDivided(_ x: Double, _ y: Double) -> (quotient: Double, remainder: Double) {
    var remainder = fmod(x, y)
    var quotient = (x - remainder) / y
    if remainder != 0 {
      if (y < 0) != (remainder < 0) {
        remainder += y
        quotient -= 1
      }
    } else {
      remainder = y < 0 ? -0.0 : 0.0
    }
    if quotient != 0 {
      let floor = quotient.rounded(.down)
      quotient = quotient - floor > 0.5 ? floor + 1 : floor
    } else {
      quotient = (x / y).sign == .minus ? -0.0 : 0.0
    }
    return (quotient, remainder)
  }

  private func power(_ x: Double, _ y: Double) throws -> Double {
    if x == 0, y < 0 { throw JinjaError.runtime("0.0 cannot be raised to a negative power") }
    if x < 0, x.isFinite, y.isFinite, y != y.rounded() { throw JinjaError.runtime("complex numbers are not supported") }
    let result = pow(x, y)
    if result.isInfinite, x.isFinite, y.isFinite { throw JinjaError.runtime("Numerical result out of range") }
    return result
  }

  private func arithmetic(_ a: Int, _ op: Jinja.Syntax.Arithmetic, _ b: Int) throws -> Value {
    let (value, overflow): (Int, Bool)
    switch op {
    case .add: (value, overflow) = a.addingReportingOverflow(b)
    case .subtract: (value, overflow) = a.subtractingReportingOverflow(b)
    case .multiply: (value, overflow) = a.multipliedReportingOverflow(by: b)
    case .divide:
      guard b != 0 else { throw JinjaError.runtime("division by zero") }
      return .float(Double(a) / Double(b))
    case .floorDivide, .modulo:
      guard b != 0 else { throw JinjaError.runtime("integer division or modulo by zero") }
      (value, overflow) = Self.floorDivided(a, b, remainder: op == .modulo)
    case .power: return try power(a, b)
    }
    guard !overflow else { throw Self.integerOverflow }
    return .int(value)
  }

  private static func floorDivided(_ a: Int, _ b: Int, remainder wantsRemainder: Bool) -> (Int, Bool) {
    if b == -1 { return wantsRemainder ? (0, false) : Int(0).subtractingReportingOverflow(a) }
    let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
    let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
    return (wantsRemainder ? (isBelow ? remainder + b : remainder) : (isBelow ? quotient - 1 : quotient), false)
  }

  private func power(_ base: Int, _ exponent: Int) throws -> Value {
    guard exponent >= 0 else {
      guard base != 0 else { throw JinjaError.runtime("0.0 cannot be raised to a negative power") }
      return .float(pow(Double(base), Double(exponent)))
    }
    var result = 1
    var square = base
    var left = exponent
    while left > 0 {
      if left & 1 == 1 {
        let (product, overflow) = result.multipliedReportingOverflow(by: square)
        guard !overflow else { throw Self.integerOverflow }
        result = product
      }
      left >>= 1
      guard left > 0 else { break }
      let (next, overflow) = square.multipliedReportingOverflow(by: square)
      // A square that is too large is needed where any bit of the exponent is left.
      guard !overflow else { throw Self.integerOverflow }
      square = next
    }
    return .int(result)
  }
}
