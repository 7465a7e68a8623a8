/// Reads a pattern. What it does not know is an error, never a silent difference.
struct RegexParser {
  struct Failure: Error { let message: String }
  struct Flags {
    var ignoresCase = false
    /// `(?m)` of Ruby: `.` takes a line feed too.
    var dotTakesAll = false
    var extended = false
  }

  static let depthLimit = 100
  let pattern: [UInt32]
  var at = 0
  var depth = 0
  var flags = Flags()
  /// The set of the shorthand that `single()` met last.
  var lastShorthand = ScalarRanges()

  static func parse(_ pattern: String) throws -> RegexNode {
    var parser = RegexParser(pattern: pattern.unicodeScalars.map(\.value))
    let node = try parser.alternatives()
    guard parser.at == parser.pattern.count else { throw parser.failure("a parenthesis too many") }
    return node
  }

  func failure(_ message: String) -> Failure { Failure(message: "regular expression, character \(at + 1): \(message)") }

  var next: UInt32? { at < pattern.count ? pattern[at] : nil }

  mutating func take(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard at + length <= pattern.count else { return false }
    for i in 0..<length where pattern[at + i] != UInt32(text.utf8Start[i]) { return false }
    at += length
    return true
  }

  mutating func alternatives() throws -> RegexNode {
    depth += 1
    guard depth <= Self.depthLimit else { throw failure("nesting deeper than \(Self.depthLimit)") }
    let outer = flags
    defer {
      depth -= 1
      flags = outer
    }
    var nodes = [try sequence()]
    while take("|") { nodes.append(try sequence()) }
    return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
  }

  mutating func sequence() throws -> RegexNode {
    var nodes: [RegexNode] = []
    while let c = next, c != code("|"), c != code(")") {
      if flags.extended, skipExtended() { continue }
      guard let node = try atom() else { continue }
      nodes.append(try quantified(node))
    }
    return nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  private mutating func skipExtended() -> Bool {
    if take("#") {
      while let c = next, c != 10 { at += 1 }
      return true
    }
    guard let c = next, UnicodeTables.whitespace.contains(c) else { return false }
    at += 1
    return true
  }

  private mutating func quantified(_ node: RegexNode) throws -> RegexNode {
    var node = node
    while let (min, max, isInterval) = try quantifier() {
      var greed = RegexGreed.greedy
      if take("?") {
        // Ruby reads {n}? as "n times or not at all".
        if isInterval, min == max {
          node = .repeated(.repeated(node, min: min, max: max, .greedy), min: 0, max: 1, .greedy)
          continue
        }
        greed = .lazy
      } else if !isInterval, take("+") {
        greed = .possessive
      }
      node = .repeated(node, min: min, max: max, greed)
    }
    return node
  }

  private mutating func quantifier() throws -> (Int, Int?, Bool)? {
    if take("*") { return (0, nil, false) }
    if take("+") { return (1, nil, false) }
    if take("?") { return (0, 1, false) }
    guard next == code("{") else { return nil }
    let start = at
    at += 1
    let low = try number()
    var high = low
    var hasComma = false
    if take(",") {
      hasComma = true
      high = try number()
    }
    guard take("}"), low != nil || high != nil else {
      at = start
      return nil
    }
    let min = low ?? 0
    if let high, high < min { throw failure("the quantifier {\(min),\(high)} runs backwards") }
    return (min, hasComma ? high : min, true)
  }

  private mutating func number() throws -> Int? {
    var value: Int?
    while let c = next, c >= 0x30, c <= 0x39 {
      value = (value ?? 0) * 10 + Int(c - 0x30)
      guard value ?? 0 <= 100_000 else { throw failure("a repeat count over 100000") }
      at += 1
    }
    return value
  }

  /// One atom; nil for what takes no place, as comments and flags do.
  private mutating func atom() throws -> RegexNode? {
    guard let c = next else { throw failure("the pattern ends early") }
    at += 1
    switch c {
    case code("("): return try group()
    case code("["): return .set(try bracket())
    case code("."): return .set(flags.dotTakesAll ? .everything : ScalarRanges([0...9, 11...0x10FFFF]))
    case code("^"): return .place(.lineStart)
    case code("$"): return .place(.lineEnd)
    case code("\\"): return try escape()
    case code("*"), code("+"), code("?"): throw failure("a quantifier without something to repeat")
    case code("{"):
      at -= 1
      if try quantifier() != nil { throw failure("a quantifier without something to repeat") }
      at += 1
      return .set(literal(c))
    default: return .set(literal(c))
    }
  }

  func literal(_ c: UInt32) -> ScalarRanges {
    let set = ScalarRanges(scalars: [c])
    return flags.ignoresCase ? RegexClasses.folded(set) : set
  }

  private mutating func group() throws -> RegexNode? {
    if take("?#") {
      while let c = next, c != code(")") { at += 1 }
      guard take(")") else { throw failure("a comment without an end") }
      return nil
    }
    guard take("?") else { return try closed { $0 } }
    if take(":") { return try closed { $0 } }
    if take("=") { return try closed { .look($0, ahead: true, negative: false) } }
    if take("!") { return try closed { .look($0, ahead: true, negative: true) } }
    if take("<=") { return try closed { .look($0, ahead: false, negative: false) } }
    if take("<!") { return try closed { .look($0, ahead: false, negative: true) } }
    if take(">") { return try closed { .atomic($0) } }
    if take("<") || take("P<") || take("'") {
      while let c = next, c != code(">"), c != code("'") { at += 1 }
      at = min(at + 1, pattern.count)
      return try closed { $0 }
    }
    return try flagGroup()
  }

  private mutating func closed(_ make: (RegexNode) -> RegexNode) throws -> RegexNode {
    let node = try alternatives()
    guard take(")") else { throw failure("a group without an end") }
    return make(node)
  }

  /// `(?i-m:…)`, or `(?i)` that holds to the end of the group around it.
  private mutating func flagGroup() throws -> RegexNode? {
    let outer = flags
    var on = true
    while let c = next {
      at += 1
      switch c {
      case code("-"): on = false
      case code("i"): flags.ignoresCase = on
      case code("m"), code("s"): flags.dotTakesAll = on
      case code("x"): flags.extended = on
      case code(")"):
        // The rest of the enclosing group, its further alternatives included, stands under the flags.
        var nodes = [try sequence()]
        while take("|") { nodes.append(try sequence()) }
        return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
      case code(":"):
        let node = try closed { $0 }
        flags = outer
        return node
      default: throw failure("an unknown group (?…")
      }
    }
    throw failure("a group without an end")
  }
}

/// The value of a character: `UInt32("a")` would read a number.
@inline(__always)
func code(_ character: Unicode.Scalar) -> UInt32 { character.value }
