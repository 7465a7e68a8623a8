extension Jinja {
  /// What a placeholder says about width, sign and digits; shared by `%` and `{}` formatting.
  struct NumberFormat {
    var fill: Unicode.Scalar = " "
    /// One of `< > ^ =`; nil is the default of the type.
    var alignment: Unicode.Scalar?
    /// One of `+ - ` and space.
    var sign: Unicode.Scalar = "-"
    var hasSign = false
    /// Whether zeros fill the width between the sign and the digits of a number; a string they only follow.
    var isZeroPadded = false
    var isAlternate = false
    var width = 0
    /// `,` or `_` between groups of digits.
    var grouping: Unicode.Scalar?
    var precision: Int?

    /// A number in place: sign and base prefix, digits, padding.
    func number(_ digits: String, isNegative: Bool, prefix: String = "", group: Int = 3) -> String {
      let lead = (isNegative ? "-" : sign == "-" ? "" : String(sign)) + prefix
      let grouped = self.grouped(digits, group, lead: lead.unicodeScalars.count)
      return pad(lead: lead, grouped, default: isZeroPadded ? "=" : ">")
    }

    func pad(lead: String = "", _ text: String, default standard: Unicode.Scalar) -> String {
      let missing = width - lead.unicodeScalars.count - text.unicodeScalars.count
      guard missing > 0 else { return lead + text }
      let padding = { (count: Int) in String(repeating: String(fill), count: count) }
      switch alignment ?? standard {
      case "<": return lead + text + padding(missing)
      case "^": return padding(missing / 2) + lead + text + padding(missing - missing / 2)
      case "=": return lead + padding(missing) + text
      default: return padding(missing) + lead + text
      }
    }

    private func grouped(_ digits: String, _ size: Int, lead: Int) -> String {
      guard let grouping else { return digits }
      let whole = digits.prefix { size == 4 ? $0.isHexDigit : $0.isNumber }
      let rest = digits.dropFirst(whole.count)
      var number = Array(whole)
      // Zeros that fill the width are grouped too.
      if fill == "0", isZeroPadded || alignment == "=" {
        while number.count + (number.count - 1) / size + rest.count + lead < width { number.insert("0", at: 0) }
      }
      var out = ""
      for (index, digit) in number.enumerated() {
        if index > 0, (number.count - index) % size == 0 { out.unicodeScalars.append(grouping) }
        out.append(digit)
      }
      return out + rest
    }

    /// `value` in one of the conversions `e f g E F G` (and `%`, `n` of `{}`).
    func float(_ value: Double, _ conversion: Unicode.Scalar) -> String {
      let magnitude = value.magnitude
      let isPercent = conversion == "%"
      var digits: String
      if value.isFinite {
        digits = PythonFloat.formatted(
          isPercent ? magnitude * 100 : magnitude, isPercent ? "f" : Character(conversion), precision: precision ?? 6,
          alternate: isAlternate)
      } else {
        digits = value.isNaN ? "nan" : "inf"
        if ("A"..."Z").contains(conversion) { digits = digits.uppercased() }
      }
      if isPercent { digits += "%" }
      return number(digits, isNegative: value.sign == .minus && !value.isNaN)
    }

    /// `value` in base 2, 8, 10 or 16.
    func integer(_ value: Int, _ conversion: Unicode.Scalar) -> String {
      let (radix, prefix) =
        switch conversion {
        case "b": (2, "0b")
        case "o": (8, "0o")
        case "x": (16, "0x")
        case "X": (16, "0X")
        default: (10, "")
        }
      var digits = String(value.magnitude, radix: radix, uppercase: conversion == "X")
      if let precision, digits.utf8.count < precision { digits = String(repeating: "0", count: precision - digits.utf8.count) + digits }
      return number(digits, isNegative: value < 0, prefix: isAlternate ? prefix : "", group: radix == 10 ? 3 : 4)
    }
  }
}
