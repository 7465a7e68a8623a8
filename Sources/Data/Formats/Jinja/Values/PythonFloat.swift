#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Jinja {
  /// Floats as Python writes and reads them.
  enum PythonFloat {
    /// `repr(value)`: the shortest digits that read back as the same number.
    static func representation(_ value: Double) -> String {
      guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
      let sign = value.sign == .minus ? "-" : ""
      let (digits, exponent) = decimal(value.magnitude)
      return sign + layout(digits, exponent, isExponential: exponent < -4 || exponent >= 16)
    }

    /// The shortest digits of a finite value of at least zero, and the power of ten of the first.
    private static func decimal(_ value: Double) -> (digits: [UInt8], exponent: Int) {
      var digits: [UInt8] = []
      var exponent = 0
      var pointAt: Int?
      let text = Array(value.description.utf8)
      var place = 0
      while place < text.count, text[place] != UInt8(ascii: "e") {
        if text[place] == UInt8(ascii: ".") { pointAt = digits.count } else { digits.append(text[place]) }
        place += 1
      }
      if place < text.count { exponent = Int(String(decoding: text[(place + 1)...], as: UTF8.self)) ?? 0 }
      exponent += (pointAt ?? digits.count) - 1
      while digits.count > 1, digits[0] == UInt8(ascii: "0") {
        digits.removeFirst()
        exponent -= 1
      }
      while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
      if digits == [UInt8(ascii: "0")] { exponent = 0 }
      return (digits, exponent)
    }

    private static func layout(_ digits: [UInt8], _ exponent: Int, isExponential: Bool) -> String {
      let text = String(decoding: digits, as: UTF8.self)
      if isExponential {
        let fraction = digits.count > 1 ? ".\(text.dropFirst())" : ""
        let size = String(abs(exponent))
        return "\(text.prefix(1))\(fraction)e\(exponent < 0 ? "-" : "+")\(size.utf8.count < 2 ? "0" : "")\(size)"
      }
      if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + text }
      let whole = text.prefix(exponent + 1)
      let padding = String(repeating: "0", count: exponent + 1 - whole.utf8.count)
      let fraction = text.dropFirst(exponent + 1)
      return "\(whole)\(padding).\(fraction.isEmpty ? "0" : fraction)"
    }

    /// C's `printf` of one number: `conversion` is one of `f e g F E G`.
    static func formatted(_ value: Double, _ conversion: Character, precision: Int, alternate: Bool = false) -> String {
      let format = "%\(alternate ? "#" : "").*\(conversion)"
      return withVaList([Int32(clamping: precision), value]) { list in
        var buffer = [CChar](repeating: 0, count: min(precision, 2_000) + 400)
        let length = Int(vsnprintf(&buffer, buffer.count, format, list))
        return String(decoding: buffer.prefix(max(0, min(length, buffer.count - 1))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
    }

    /// Python's `round(value, digits)`.
    static func rounded(_ value: Double, digits: Int) -> Double {
      guard value.isFinite, digits < 308 else { return value }
      if digits >= 0 { return Double(formatted(value, "f", precision: digits)) ?? value }
      guard digits > -309 else { return value < 0 ? -0.0 : 0.0 }
      let scale = pow(10, Double(-digits))
      return (value / scale).rounded(.toNearestOrEven) * scale
    }

    /// Python's `float(text)`; nil where it is no number.
    static func parse(_ text: Text) -> Double? {
      guard let plain = plainDigits(text.stripped()) else { return nil }
      let body = plain.hasPrefix("-") || plain.hasPrefix("+") ? String(plain.dropFirst()) : plain
      let sign = plain.hasPrefix("-") ? -1.0 : 1.0
      switch body.lowercased() {
      case "inf", "infinity": return sign * .infinity
      case "nan": return .nan
      default: break
      }
      guard !body.isEmpty, body.utf8.allSatisfy({ "0123456789.eE+-".utf8.contains($0) }), body.utf8.first != UInt8(ascii: "+"),
        body.utf8.first != UInt8(ascii: "-")
      else { return nil }
      return Double(body.hasSuffix(".") ? body + "0" : body.hasPrefix(".") ? "0" + body : body.replacingDotExponent).map { sign * $0 }
    }

    /// Python's `int(text, base)`; nil where it is no number, an error where it lies outside 64 bits.
    static func parseInteger(_ text: Text, base: Int) throws -> Int? {
      guard base == 0 || (2...36).contains(base) else { throw JinjaError.runtime("int() base must be >= 2 and <= 36, or 0") }
      guard var body = plainDigits(text.stripped(), keepsUnderscores: true)?.lowercased() else { return nil }
      let isNegative = body.hasPrefix("-")
      if isNegative || body.hasPrefix("+") { body.removeFirst() }
      var radix = base
      for (prefix, value) in [("0x", 16), ("0o", 8), ("0b", 2)] where body.hasPrefix(prefix) && (base == 0 || base == value) {
        radix = value
        body.removeFirst(2)
        if body.hasPrefix("_") { body.removeFirst() }
      }
      if radix == 0 {
        radix = 10
        if body.hasPrefix("0"), body.contains(where: { $0 != "0" && $0 != "_" }) { return nil }
      }
      guard let digits = withoutUnderscores(body), !digits.isEmpty,
        digits.utf8.allSatisfy({ ($0 < 0x80 ? Character(Unicode.Scalar($0)).wholeAlphanumericValue : nil).map { $0 < radix } ?? false })
      else { return nil }
      guard let value = Int((isNegative ? "-" : "") + digits, radix: radix) else { throw Runtime.integerOverflow }
      return value
    }

    /// ASCII text of a number: decimal digits of any script become ASCII, and underscores between digits go.
    private static func plainDigits(_ text: Text, keepsUnderscores: Bool = false) -> String? {
      guard text.byteCount <= 4_000 else { return nil }
      var plain = ""
      for scalar in text.scalars {
        if scalar.isASCII {
          plain.unicodeScalars.append(scalar)
        } else if scalar.properties.numericType == .decimal, let value = scalar.properties.numericValue {
          plain += String(Int(value))
        } else {
          return nil
        }
      }
      return keepsUnderscores ? plain : withoutUnderscores(plain)
    }

    private static func withoutUnderscores(_ text: String) -> String? {
      guard text.contains("_") else { return text }
      let bytes = Array(text.utf8)
      var out: [UInt8] = []
      for (place, byte) in bytes.enumerated() {
        guard byte == UInt8(ascii: "_") else {
          out.append(byte)
          continue
        }
        let isBetween =
          place > 0 && place + 1 < bytes.count && Unicode.Scalar(bytes[place - 1]).properties.isASCIIHexDigit
          && Unicode.Scalar(bytes[place + 1]).properties.isASCIIHexDigit
        guard isBetween else { return nil }
      }
      return String(decoding: out, as: UTF8.self)
    }
  }
}

extension Character {
  fileprivate var wholeAlphanumericValue: Int? {
    guard let value = asciiValue else { return nil }
    switch value {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return Int(value - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): return Int(value - UInt8(ascii: "a")) + 10
    default: return nil
    }
  }
}

extension String {
  /// `1.e5` as Swift reads it: `1.0e5`.
  fileprivate var replacingDotExponent: String {
    guard let dot = firstIndex(of: "."), index(after: dot) < endIndex, "eE".contains(self[index(after: dot)]) else { return self }
    return self[...dot] + "0" + self[index(after: dot)...]
  }
}
