extension Jinja.Runtime {
  /// Python's `format % values`.
  func percentFormat(_ format: Text, _ values: Value) throws -> Text {
    var formatter = Jinja.PercentFormatter(runtime: self, format: format, values: values)
    return try formatter.run()
  }
}

extension Jinja {
  struct PercentFormatter {
    private let runtime: Runtime
    private let format: [Unicode.Scalar]
    private let isMarkup: Bool
    private let values: Value
    private let queue: [Value]
    private var taken = 0
    private var at = 0
    private var bytes: [UInt8] = []

    init(runtime: Runtime, format: Text, values: Value) {
      self.runtime = runtime
      self.format = Array(format.scalars)
      isMarkup = format.isMarkup
      self.values = values
      if case .tuple(let box) = values { queue = box.items } else { queue = [values] }
    }

    mutating func run() throws -> Text {
      try runtime.charge(bytes: format.count)
      while at < format.count {
        if format[at] == "%" {
          at += 1
          try placeholder()
        } else {
          bytes.append(format[at])
          at += 1
        }
      }
      if taken < queue.count, !acceptsLeftovers { throw JinjaError.runtime("not all arguments converted during string formatting") }
      return Text(bytes, isMarkup: isMarkup)
    }

    /// Python takes anything with items for a mapping, of which not all need be used.
    private var acceptsLeftovers: Bool {
      switch values {
      case .dict, .list, .range, .undefined: true
      default: false
      }
    }

    private mutating func next() throws -> Value {
      guard taken < queue.count else { throw JinjaError.runtime("not enough arguments for format string") }
      defer { taken += 1 }
      return queue[taken]
    }

    private func scalar() throws -> Unicode.Scalar {
      guard at < format.count else { throw JinjaError.runtime("incomplete format") }
      return format[at]
    }

    private mutating func placeholder() throws {
      if try scalar() == "%" {
        at += 1
        return bytes.append("%")
      }
      var layout = NumberFormat()
      var named: Value?
      if try scalar() == "(" { named = try mappingItem() }
      var isZeroPadded = false
      flags: while true {
        switch try scalar() {
        case "-": layout.alignment = "<"
        case "+": layout.sign = "+"
        case " ": if layout.sign != "+" { layout.sign = " " }
        case "#": layout.isAlternate = true
        case "0": isZeroPadded = true
        default: break flags
        }
        at += 1
      }
      if let width = try count() {
        layout.width = abs(width)
        if width < 0 { layout.alignment = "<" }
      }
      if try scalar() == "." {
        at += 1
        layout.precision = max(try count() ?? 0, 0)
      }
      while ["h", "l", "L"].contains(try scalar()) { at += 1 }
      try runtime.reserve(bytes: layout.width + (layout.precision ?? 0))
      let conversion = try scalar()
      at += 1
      let value = try named ?? next()
      if isZeroPadded, layout.alignment == nil, !"sracr".unicodeScalars.contains(conversion) {
        layout.fill = "0"
        layout.isZeroPadded = true
      }
      try append(convert(value, conversion, layout))
    }

    private mutating func append(_ text: String) throws {
      try runtime.charge(bytes: text.utf8.count)
      try runtime.checkLength(bytes.count + text.utf8.count)
      bytes.append(text)
    }

    private mutating func mappingItem() throws -> Value {
      at += 1
      var depth = 1
      var name = String.UnicodeScalarView()
      while true {
        let scalar = try scalar()
        at += 1
        if scalar == "(" { depth += 1 }
        if scalar == ")" { depth -= 1 }
        if depth == 0 { break }
        name.append(scalar)
      }
      guard case .dict(let dict) = values else { throw JinjaError.runtime("format requires a mapping") }
      guard let value = dict[Text(String(name))] else { throw JinjaError.runtime("KeyError: '\(String(name))'") }
      taken = queue.count
      return value
    }

    private mutating func count() throws -> Int? {
      if try scalar() == "*" {
        at += 1
        guard case .int(let value) = try next() else { throw JinjaError.runtime("* wants int") }
        guard abs(value.clamped) <= runtime.limits.outputBytes else { throw JinjaError(.limit, "the width of a placeholder is too large") }
        return value
      }
      var digits = 0
      var found = false
      while try scalar().isASCIIDigit {
        digits = digits * 10 + Int(try scalar().value - 0x30)
        guard digits <= runtime.limits.outputBytes else { throw JinjaError(.limit, "the width of a placeholder is too large") }
        found = true
        at += 1
      }
      return found ? digits : nil
    }

    private func convert(_ value: Value, _ conversion: Unicode.Scalar, _ layout: NumberFormat) throws -> String {
      switch conversion {
      case "s": return try text(runtime.text(of: value), of: value, layout)
      case "r": return try text(runtime.representation(value), of: value, layout)
      case "a": return try text(runtime.asciiRepresentation(value), of: value, layout)
      case "c": return try character(value, layout)
      case "d", "i", "u", "x", "X", "o":
        if case .float(let number) = value, conversion == "d" || conversion == "i" || conversion == "u" {
          guard number.isFinite, let whole = Int(exactly: number.rounded(.towardZero)) else { throw Runtime.integerOverflow }
          return layout.integer(whole, "d")
        }
        guard let number = value.index else { throw wrongType(value, conversion, "a real number is required") }
        return layout.integer(number, conversion)
      case "e", "f", "g", "E", "F", "G":
        if let number = value.index { return layout.float(Double(number), conversion) }
        guard case .float(let number) = value else { throw wrongType(value, conversion, "must be real number") }
        return layout.float(number, conversion)
      default: throw JinjaError.runtime("unsupported format character '\(conversion)' at index \(at - 1)")
      }
    }

    private func wrongType(_ value: Value, _ conversion: Unicode.Scalar, _ wanted: String) -> JinjaError {
      if case .undefined(let undefined) = value, "efgEFG".unicodeScalars.contains(conversion) { return undefined.error }
      return .runtime("%\(conversion) format: \(wanted), not \(value.typeName)")
    }

    private func text(_ text: Text, of value: Value, _ layout: NumberFormat) throws -> String {
      var text = isMarkup ? try runtime.escaped(text) : text
      if let precision = layout.precision, precision < text.count { text = text.scalars(0..<precision) }
      return layout.pad(text.string, default: ">")
    }

    private func character(_ value: Value, _ layout: NumberFormat) throws -> String {
      if case .text(let text) = value, text.count == 1 { return layout.pad(text.string, default: ">") }
      guard let number = value.index, let code = UInt32(exactly: number), let scalar = Unicode.Scalar(code) else {
        throw JinjaError.runtime("%c requires int or char")
      }
      return layout.pad(String(scalar), default: ">")
    }
  }
}

extension Int {
  /// As near as its magnitude can be taken of.
  fileprivate var clamped: Int { Swift.max(self, -.max) }
}

extension Jinja.Runtime {
  /// Python's `ascii(value)`.
  func asciiRepresentation(_ value: Value) throws -> Text {
    let text = try representation(value)
    guard !text.isASCII else { return text }
    var bytes: [UInt8] = []
    for scalar in text.scalars {
      switch scalar.value {
      case ..<0x80: bytes.append(scalar)
      case ..<0x100: bytes.append("\\x" + scalar.value.hexadecimal(2))
      case ..<0x10000: bytes.append("\\u" + scalar.value.hexadecimal(4))
      default: bytes.append("\\U" + scalar.value.hexadecimal(8))
      }
    }
    return Text(bytes)
  }
}
