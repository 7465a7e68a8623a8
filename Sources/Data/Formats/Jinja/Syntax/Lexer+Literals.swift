extension Jinja.Lexer {
  /// Digits with single underscores between them, from `place`; nil where no digit stands.
  private func digits(from place: Int, _ isDigit: (Unicode.Scalar) -> Bool) -> Int? {
    guard place < source.count, isDigit(source[place]) else { return nil }
    var end = place + 1
    while end < source.count {
      if isDigit(source[end]) {
        end += 1
      } else if source[end] == "_", end + 1 < source.count, isDigit(source[end + 1]) {
        end += 2
      } else {
        break
      }
    }
    return end
  }

  private func plain(_ range: Range<Int>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source[range].lazy.filter { $0 != "_" })
    return String(view)
  }

  mutating func number() throws -> Jinja.TokenKind {
    if let end = floatEnd() {
      defer { advance(to: end) }
      guard let value = Double(plain(at..<end)) else { throw failure("invalid number") }
      return .float(value)
    }
    let (range, radix, end) = integerRange()
    defer { advance(to: end) }
    guard let value = Int(plain(range), radix: radix) else { throw failure("integer literal outside 64 bits") }
    return .integer(value)
  }

  private func floatEnd() -> Int? {
    if at > 0, source[at - 1] == "." { return nil }
    guard var end = digits(from: at, \.isASCIIDigit) else { return nil }
    var isFloat = false
    if end < source.count, source[end] == ".", let fraction = digits(from: end + 1, \.isASCIIDigit) {
      end = fraction
      isFloat = true
    }
    if end < source.count, source[end] == "e" || source[end] == "E" {
      var exponent = end + 1
      if exponent < source.count, source[exponent] == "+" || source[exponent] == "-" { exponent += 1 }
      if let last = digits(from: exponent, \.isASCIIDigit) { return last }
    }
    return isFloat ? end : nil
  }

  private func integerRange() -> (Range<Int>, radix: Int, end: Int) {
    if source[at] == "0", at + 1 < source.count {
      let radix: Int? =
        switch source[at + 1] {
        case "b", "B": 2
        case "o", "O": 8
        case "x", "X": 16
        default: nil
        }
      if let radix {
        let first = at + 2 < source.count && source[at + 2] == "_" ? at + 3 : at + 2
        let isDigit = { (scalar: Unicode.Scalar) in
          scalar.isASCII && (Character(scalar).hexDigitValue ?? 99) < radix
        }
        if let end = digits(from: first, isDigit) { return (first..<end, radix, end) }
      }
    }
    // A decimal number does not start with zero, except zero itself.
    let isDigit: (Unicode.Scalar) -> Bool = source[at] == "0" ? { $0 == "0" } : { $0.isASCIIDigit }
    let end = digits(from: at, isDigit) ?? at + 1
    return (at..<end, 10, end)
  }

  mutating func string() throws -> String {
    let quote = source[at]
    var place = at + 1
    while place < source.count, source[place] != quote { place += source[place] == "\\" ? 2 : 1 }
    guard place < source.count else { throw unexpectedCharacter() }
    let inside = at + 1..<place
    let text = source[inside].contains("\\") ? try unescaped(inside) : self.text(inside)
    advance(to: place + 1)
    return text
  }

  /// Python's `unicode-escape`, applied to text whose other characters are kept.
  private func unescaped(_ range: Range<Int>) throws -> String {
    var out = String.UnicodeScalarView()
    var place = range.lowerBound
    while place < range.upperBound {
      guard source[place] == "\\", place + 1 < range.upperBound else {
        out.append(source[place])
        place += 1
        continue
      }
      place += 1
      let kind = source[place]
      place += 1
      switch kind {
      case "\n": break
      case "\\", "'", "\"": out.append(kind)
      case "a": out.append("\u{07}")
      case "b": out.append("\u{08}")
      case "f": out.append("\u{0C}")
      case "n": out.append("\n")
      case "r": out.append("\r")
      case "t": out.append("\t")
      case "v": out.append("\u{0B}")
      case "0"..."7": out.append(octal(from: &place, before: range.upperBound))
      case "x": out.append(try hexadecimal(2, from: &place, before: range.upperBound))
      case "u": out.append(try hexadecimal(4, from: &place, before: range.upperBound))
      case "U": out.append(try hexadecimal(8, from: &place, before: range.upperBound))
      case "N": throw failure("\\N{…} names are not supported; write \\uXXXX")
      default:
        out.append("\\")
        append(kind, to: &out)
      }
    }
    return String(out)
  }

  /// Python escapes characters outside ASCII before it unescapes, so a backslash in front of one leaves its number behind.
  private func append(_ scalar: Unicode.Scalar, to out: inout String.UnicodeScalarView) {
    guard !scalar.isASCII else { return out.append(scalar) }
    let digits = String(scalar.value, radix: 16)
    let (prefix, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
    out.append(contentsOf: (prefix + String(repeating: "0", count: width - digits.utf8.count) + digits).unicodeScalars)
  }

  private func octal(from place: inout Int, before end: Int) -> Unicode.Scalar {
    var value = source[place - 1].value - 0x30
    var count = 1
    while count < 3, place < end, ("0"..."7").contains(source[place]) {
      value = value * 8 + source[place].value - 0x30
      place += 1
      count += 1
    }
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }

  private func hexadecimal(_ count: Int, from place: inout Int, before end: Int) throws -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard place < end, source[place].isASCII, let digit = Character(source[place]).hexDigitValue else {
        throw failure("truncated escape in a string")
      }
      value = value << 4 | UInt32(digit)
      place += 1
    }
    guard let scalar = Unicode.Scalar(value) else { throw failure("illegal Unicode character in an escape") }
    return scalar
  }
}
