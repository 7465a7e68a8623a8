extension RegexParser {
  /// What follows a backslash outside brackets.
  mutating func escape() throws -> RegexNode {
    guard let c = next else { throw failure("a backslash at the end") }
    switch c {
    case code("A"): return place(.textStart)
    case code("z"): return place(.textEnd)
    case code("Z"): return place(.textEndOrLastLine)
    case code("b"): return place(.wordBoundary)
    case code("B"): return place(.noWordBoundary)
    case code("R"):
      at += 1
      let pair = RegexNode.sequence([.set(ScalarRanges(scalars: [13])), .set(ScalarRanges(scalars: [10]))])
      return .atomic(.alternatives([pair, .set(ScalarRanges([10...13, 0x85...0x85, 0x2028...0x2029]))]))
    case code("1")...code("9"), code("k"), code("g"), code("X"), code("G"), code("K"):
      throw failure("\\\(Character(Unicode.Scalar(c) ?? "?")) is not supported")
    default: break
    }
    if let set = try shorthand(word: UnicodeTables.onigurumaWord) { return .set(set) }
    return .set(literal(try escapedScalar()))
  }

  private mutating func place(_ place: RegexPlace) -> RegexNode {
    at += 1
    return .place(place)
  }

  /// `\s`, `\p{…}` and their kind; nil, with nothing taken, for an escaped character.
  private mutating func shorthand(word: ScalarRanges) throws -> ScalarRanges? {
    guard let c = next else { throw failure("a backslash at the end") }
    let set: ScalarRanges?
    switch c {
    case code("s"): set = UnicodeTables.whitespace
    case code("S"): set = UnicodeTables.whitespace.inverted
    case code("d"): set = RegexClasses.named("nd")
    case code("D"): set = RegexClasses.named("nd")?.inverted
    case code("w"): set = word
    case code("W"): set = word.inverted
    case code("h"): set = RegexClasses.hexDigits
    case code("H"): set = RegexClasses.hexDigits.inverted
    case code("p"), code("P"):
      at += 1
      return try property(negated: c == code("P"), word: word)
    default: return nil
    }
    at += 1
    return set
  }

  private mutating func property(negated: Bool, word: ScalarRanges) throws -> ScalarRanges {
    var name = ""
    var negated = negated
    if take("{") {
      if take("^") { negated.toggle() }
      while let c = next, c != code("}") {
        name.unicodeScalars.append(Unicode.Scalar(c) ?? "?")
        at += 1
      }
      guard take("}") else { throw failure("\\p{ without an end") }
    } else {
      guard let c = next, let scalar = Unicode.Scalar(c) else { throw failure("\\p without a name") }
      name.unicodeScalars.append(scalar)
      at += 1
    }
    guard let set = name.lowercased() == "word" ? word : RegexClasses.named(name) else {
      throw failure("the unknown property \\p{\(name.prefix(40))}")
    }
    return negated ? set.inverted : set
  }

  private mutating func escapedScalar() throws -> UInt32 {
    guard let c = next else { throw failure("a backslash at the end") }
    at += 1
    switch c {
    case code("t"): return 9
    case code("n"): return 10
    case code("v"): return 11
    case code("f"): return 12
    case code("r"): return 13
    case code("a"): return 7
    case code("e"): return 27
    case code("0"): return try digits(atMost: 2, radix: 8) ?? 0
    case code("x"):
      if take("{") {
        guard let value = try digits(atMost: 8, radix: 16), take("}") else { throw failure("\\x{ without digits or end") }
        return value
      }
      return try digits(atMost: 2, radix: 16) ?? 0
    case code("u"):
      let start = at
      guard let value = try digits(atMost: 4, radix: 16), at == start + 4 else { throw failure("\\u wants four digits") }
      return value
    case code("a")...code("z"), code("A")...code("Z"):
      throw failure("the unknown escape \\\(Character(Unicode.Scalar(c) ?? "?"))")
    default: return c
    }
  }

  private mutating func digits(atMost count: Int, radix: UInt32) throws -> UInt32? {
    var value: UInt32?
    for _ in 0..<count {
      guard let c = next, c < 0x80, let digit = Character(Unicode.Scalar(UInt8(c))).hexDigitValue, digit < radix else { break }
      value = (value ?? 0) * radix + UInt32(digit)
      guard value ?? 0 <= 0x10FFFF else { throw failure("a code point over 10FFFF") }
      at += 1
    }
    return value
  }

  /// A class after its opening bracket.
  mutating func bracket() throws -> ScalarRanges {
    depth += 1
    guard depth <= Self.depthLimit else { throw failure("nesting deeper than \(Self.depthLimit)") }
    defer { depth -= 1 }
    let negated = take("^")
    var whole: ScalarRanges?
    var part = ScalarRanges()
    var isFirst = true
    while true {
      guard let c = next else { throw failure("a class without an end") }
      if c == code("]"), !isFirst { break }
      isFirst = false
      if take("&&") {
        whole = whole?.intersection(part) ?? part
        part = ScalarRanges()
        continue
      }
      part = part.union(try member())
    }
    at += 1
    var set = whole?.intersection(part) ?? part
    if flags.ignoresCase { set = RegexClasses.folded(set) }
    return negated ? set.inverted : set
  }

  private mutating func member() throws -> ScalarRanges {
    if take("[:") {
      let start = at
      let negated = take("^")
      var name = ""
      while let c = next, c != code(":"), let scalar = Unicode.Scalar(c) {
        name.unicodeScalars.append(scalar)
        at += 1
      }
      if take(":]"), let set = RegexClasses.posix(name) { return negated ? set.inverted : set }
      at = start - 1
      return try bracket()
    }
    if take("[") { return try bracket() }
    guard let low = try single() else { return lastShorthand }
    guard next == code("-"), at + 1 < pattern.count, pattern[at + 1] != code("]") else { return ScalarRanges(scalars: [low]) }
    let dash = at
    at += 1
    guard next != code("["), let high = try single() else {
      // `[a-\s]`: the hyphen stands for itself.
      at = dash
      return ScalarRanges(scalars: [low])
    }
    guard high >= low else { throw failure("a range that runs backwards") }
    return ScalarRanges([low...high])
  }

  /// One character of a class; nil where a shorthand stood, whose set is then in `lastShorthand`.
  private mutating func single() throws -> UInt32? {
    guard let c = next else { throw failure("a class without an end") }
    at += 1
    guard c == code("\\") else { return c }
    if take("b") { return 8 }
    if let set = try shorthand(word: UnicodeTables.onigurumaClassWord) {
      lastShorthand = set
      return nil
    }
    return try escapedScalar()
  }
}
