extension Jinja.Runtime {
  /// Python's comparison operators.
  func compare(_ a: Value, _ comparison: Jinja.Syntax.Comparison, _ b: Value) throws -> Bool {
    switch comparison {
    case .equal: try equals(a, b)
    case .notEqual: try !equals(a, b)
    case .less: try isLess(a, b, "<")
    case .greater: try isLess(b, a, ">")
    case .lessOrEqual: try isLessOrEqual(a, b, "<=")
    case .greaterOrEqual: try isLessOrEqual(b, a, ">=")
    case .contained: try contains(b, a)
    case .notContained: try !contains(b, a)
    }
  }

  /// Python's `==`.
  func equals(_ a: Value, _ b: Value) throws -> Bool {
    try step()
    switch (a, b) {
    case (.text(let a), .text(let b)):
      try charge(bytes: min(a.byteCount, b.byteCount))
      return a == b
    case (.null, .null), (.undefined, .undefined): return true
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      return try a === b || equals(a.items, b.items)
    case (.dict(let a), .dict(let b)): return try a === b || equals(a, b)
    case (.range(let a), .range(let b)):
      return a.count == b.count && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.view(let a), .view(let b)): return try equals(a, b)
    default:
      if let order = Self.order(a, b) { return order == .equal }
      return Self.isSame(a, b)
    }
  }

  func equals(_ a: [Value], _ b: [Value]) throws -> Bool {
    guard a.count == b.count else { return false }
    for (x, y) in zip(a, b) where try !equals(x, y) { return false }
    return true
  }

  private func equals(_ a: Jinja.DictBox, _ b: Jinja.DictBox) throws -> Bool {
    guard a.count == b.count else { return false }
    for (key, value) in zip(a.keys, a.values) {
      guard let place = try b.place(of: key), try equals(value, b.values[place]) else { return false }
    }
    return true
  }

  private func equals(_ a: Jinja.DictView, _ b: Jinja.DictView) throws -> Bool {
    switch (a.part, b.part) {
    case (.keys, .keys):
      guard a.dict.count == b.dict.count else { return false }
      for key in a.dict.keys where try b.dict.place(of: key) == nil { return false }
      return true
    case (.items, .items): return try equals(a.dict, b.dict)
    default: return a === b
    }
  }

  /// Whether two values are one object; what Python's `is` says of values that have an identity here.
  static func isSame(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.float(let a), .float(let b)): a == b
    case (.text(let a), .text(let b)): a == b && a.isMarkup == b.isMarkup
    case (.list(let a), .list(let b)): a === b
    case (.tuple(let a), .tuple(let b)): a === b || a.items.isEmpty && b.items.isEmpty
    case (.dict(let a), .dict(let b)): a === b
    case (.range(let a), .range(let b)): a === b
    case (.view(let a), .view(let b)): a === b
    case (.namespace(let a), .namespace(let b)): a === b
    case (.iterator(let a), .iterator(let b)): a === b
    case (.loop(let a), .loop(let b)): a === b
    case (.macro(let a), .macro(let b)): a === b
    case (.helper(let a), .helper(let b)): a === b
    case (.undefined(let a), .undefined(let b)): a === b
    case (.function(let a), .function(let b)): a.name == b.name && a.depth == 0 && b.depth == 0
    default: false
    }
  }

  private enum Order { case less, equal, greater, unordered }

  /// How two numbers compare; nil where either is none. Exact also between integers and floats.
  private static func order(_ a: Value, _ b: Value) -> Order? {
    if let a = a.index, let b = b.index { return a < b ? .less : a == b ? .equal : .greater }
    switch (a, b) {
    case (.float(let a), .float(let b)): return a < b ? .less : a == b ? .equal : a > b ? .greater : .unordered
    case (.float(let a), _): return b.index.map { order(a, $0) }
    case (_, .float(let b)):
      return a.index.map {
        switch order(b, $0) {
        case .less: .greater
        case .greater: .less
        case let same: same
        }
      }
    default: return nil
    }
  }

  private static func order(_ a: Double, _ b: Int) -> Order {
    if a.isNaN { return .unordered }
    if a >= 0x1p63 { return .greater }
    if a < -0x1p63 { return .less }
    let whole = a.rounded(.down)
    let integer = Int(whole)
    if integer != b { return integer < b ? .less : .greater }
    return a == whole ? .equal : .greater
  }

  func isLess(_ a: Value, _ b: Value, _ op: String = "<") throws -> Bool {
    try isOrdered(a, b, op, orEqual: false)
  }

  private func isLessOrEqual(_ a: Value, _ b: Value, _ op: String) throws -> Bool {
    try isOrdered(a, b, op, orEqual: true)
  }

  private func isOrdered(_ a: Value, _ b: Value, _ op: String, orEqual: Bool) throws -> Bool {
    try step()
    if let order = Self.order(a, b) { return order == .less || orEqual && order == .equal }
    switch (a, b) {
    case (.text(let a), .text(let b)):
      try charge(bytes: min(a.byteCount, b.byteCount))
      return a < b || orEqual && a == b
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      for (x, y) in zip(a.items, b.items) where try !equals(x, y) { return try isOrdered(x, y, op, orEqual: orEqual) }
      return a.items.count < b.items.count || orEqual && a.items.count == b.items.count
    default: throw unordered(a, b, op)
    }
  }

  private func unordered(_ a: Value, _ b: Value, _ op: String) -> JinjaError {
    for case .undefined(let undefined) in [a, b] { return undefined.error }
    // `a > b` asks whether b is less than a, but the message names the operands as they were written.
    let (left, right) = op.hasPrefix(">") ? (b, a) : (a, b)
    return .runtime("'\(op)' not supported between instances of '\(left.typeName)' and '\(right.typeName)'")
  }

  /// Python's `item in container`.
  func contains(_ container: Value, _ item: Value) throws -> Bool {
    try step()
    switch container {
    case .text(let text):
      guard case .text(let part) = item else {
        throw JinjaError.runtime("'in <string>' requires string as left operand, not \(item.typeName)")
      }
      try chargeSearch(for: part, in: text)
      return text.contains(part)
    case .dict(let dict):
      try chargeKey(item)
      return try dict.place(of: item) != nil
    case .view(let view) where view.part == .keys: return try view.dict.place(of: item) != nil
    case .range(let range):
      guard let index = item.index else {
        guard case .float(let value) = item, let index = Int(exactly: value) else { return false }
        return contains(range, index)
      }
      return contains(range, index)
    case .namespace, .null, .bool, .int, .float, .macro, .function, .helper, .loop:
      throw JinjaError.runtime("argument of type '\(container.typeName)' is not iterable")
    default:
      let next = try stream(container)
      while let other = try next() { if try Self.isSame(item, other) || equals(item, other) { return true } }
      return false
    }
  }

  private func contains(_ range: Jinja.PythonRange, _ index: Int) -> Bool {
    guard range.count > 0, range.step > 0 ? index >= range.start && index < range.stop : index <= range.start && index > range.stop else {
      return false
    }
    let (distance, overflow) = index.subtractingReportingOverflow(range.start)
    return !overflow && distance % range.step == 0
  }
}
