extension Jinja.Runtime {
  /// Python's `format.format(…)`, with attributes looked up through the sandbox.
  func braceFormat(_ format: Text, _ arguments: Jinja.Arguments) throws -> Text {
    var formatter = Jinja.BraceFormatter(runtime: self, arguments: arguments, isMarkup: format.isMarkup)
    return Text(try formatter.run(Array(format.scalars), depth: 2), isMarkup: format.isMarkup)
  }
}

extension Jinja {
  struct BraceFormatter {
    let runtime: Runtime
    let arguments: Arguments
    let isMarkup: Bool
    private var nextIndex = 0
    private var isManual: Bool?

    init(runtime: Runtime, arguments: Arguments, isMarkup: Bool) {
      self.runtime = runtime
      self.arguments = arguments
      self.isMarkup = isMarkup
    }

    mutating func run(_ format: [Unicode.Scalar], depth: Int) throws -> [UInt8] {
      guard depth >= 0 else { throw JinjaError.runtime("Max string recursion exceeded") }
      try runtime.charge(bytes: format.count)
      var bytes: [UInt8] = []
      var at = 0
      while at < format.count {
        let scalar = format[at]
        at += 1
        guard scalar == "{" || scalar == "}" else {
          bytes.append(scalar)
          continue
        }
        if at < format.count, format[at] == scalar {
          bytes.append(scalar)
          at += 1
          continue
        }
        guard scalar == "{" else { throw JinjaError.runtime("Single '}' encountered in format string") }
        let text = try field(format, from: &at, depth: depth)
        try runtime.reserve(bytes: text.byteCount)
        try runtime.checkLength(bytes.count + text.byteCount)
        bytes += text.bytes
      }
      return bytes
    }

    /// One replacement field, whose `{` has been read.
    private mutating func field(_ format: [Unicode.Scalar], from at: inout Int, depth: Int) throws -> Text {
      var level = 1
      let start = at
      while at < format.count {
        if format[at] == "{" { level += 1 }
        if format[at] == "}" { level -= 1 }
        if level == 0 { break }
        at += 1
      }
      guard at < format.count else {
        throw JinjaError.runtime(start < format.count ? "expected '}' before end of string" : "Single '{' encountered in format string")
      }
      let content = Array(format[start..<at])
      at += 1
      let (name, conversion, spec) = try parts(content)
      var value = try lookUp(name)
      switch conversion {
      case nil: break
      case "s": value = .text(try runtime.text(of: value).plain)
      case "r": value = .text(try runtime.representation(value))
      case "a": value = .text(try runtime.asciiRepresentation(value))
      default: throw JinjaError.runtime("Unknown conversion specifier \(conversion.map(String.init) ?? "")")
      }
      let text = try runtime.format(value, spec: Text(run(spec, depth: depth - 1)))
      guard isMarkup else { return text.plain }
      return try runtime.escaped(value.text?.isMarkup == true ? text.with(markup: true) : text)
    }

    private func parts(_ content: [Unicode.Scalar]) throws -> (name: [Unicode.Scalar], conversion: Unicode.Scalar?, spec: [Unicode.Scalar])
    {
      var inBrackets = false
      var end = 0
      while end < content.count, inBrackets || (content[end] != "!" && content[end] != ":") {
        if content[end] == "[" { inBrackets = true }
        if content[end] == "]" { inBrackets = false }
        if content[end] == "{" { throw JinjaError.runtime("unexpected '{' in field name") }
        end += 1
      }
      let name = Array(content[..<end])
      guard end < content.count else { return (name, nil, []) }
      if content[end] == ":" { return (name, nil, Array(content[(end + 1)...])) }
      guard end + 1 < content.count else { throw JinjaError.runtime("end of string while looking for conversion specifier") }
      let conversion = content[end + 1]
      guard end + 2 < content.count else { return (name, conversion, []) }
      guard content[end + 2] == ":" else { throw JinjaError.runtime("expected ':' after conversion specifier") }
      return (name, conversion, Array(content[(end + 3)...]))
    }

    private mutating func lookUp(_ name: [Unicode.Scalar]) throws -> Value {
      let end = name.firstIndex { $0 == "." || $0 == "[" } ?? name.count
      if end == 0, !name.isEmpty { throw JinjaError.runtime("KeyError: ''") }
      var value = try argument(Array(name[..<end]))
      var at = end
      while at < name.count {
        try runtime.step()
        if name[at] == "." {
          let stop = name[(at + 1)...].firstIndex { $0 == "." || $0 == "[" } ?? name.count
          guard stop > at + 1 else { throw JinjaError.runtime("Empty attribute in format string") }
          value = try runtime.attribute(Text(name[(at + 1)..<stop]), of: value)
          at = stop
        } else {
          guard name[at] == "[" else { throw JinjaError.runtime("Only '.' or '[' may follow ']' in format field specifier") }
          guard let stop = name[at...].firstIndex(of: "]") else { throw JinjaError.runtime("Missing ']' in format string") }
          guard stop > at + 1 else { throw JinjaError.runtime("Empty attribute in format string") }
          let key = Text(name[(at + 1)..<stop])
          let index = name[(at + 1)..<stop].allSatisfy(\.isASCIIDigit) ? Int(key.string) : nil
          value = try runtime.item(index.map { .int($0) } ?? .text(key), of: value)
          at = stop + 1
        }
      }
      return value
    }

    private mutating func argument(_ name: [Unicode.Scalar]) throws -> Value {
      let text = Text(name).string
      let index: Int
      if name.isEmpty {
        if isManual == true { throw JinjaError.runtime("cannot switch from manual field specification to automatic field numbering") }
        isManual = false
        index = nextIndex
        nextIndex += 1
      } else if name.allSatisfy(\.isASCIIDigit) {
        if isManual == false { throw JinjaError.runtime("cannot switch from automatic field numbering to manual field specification") }
        isManual = true
        index = Int(text) ?? .max
      } else {
        guard let named = arguments.named.first(where: { Name($0.name) == Name(text) }) else {
          throw JinjaError.runtime("KeyError: '\(text)'")
        }
        return named.value
      }
      guard index < arguments.positional.count else {
        throw JinjaError.runtime("tuple index out of range: there is no argument \(index)")
      }
      return arguments.positional[index]
    }
  }
}

extension Jinja.Runtime {
  /// Python's `format(value, spec)`.
  func format(_ value: Value, spec: Text) throws -> Text {
    if spec.isEmpty { return try text(of: value) }
    let (layout, conversion) = try Self.layout(Array(spec.scalars), limit: limits.outputBytes)
    try reserve(bytes: layout.width + (layout.precision ?? 0))
    switch value {
    case .text(let text):
      guard conversion == nil || conversion == "s" else { throw unknown(conversion, value) }
      if let flaw = layout.flawForText { throw JinjaError.runtime("\(flaw) not allowed in string format specifier") }
      let cut = layout.precision.map { $0 < text.count ? text.scalars(0..<$0) : text } ?? text
      return Text(layout.pad(cut.string, default: "<"))
    case .int, .bool:
      let number = value.index ?? 0
      switch conversion {
      case nil, "d", "n", "b", "o", "x", "X":
        guard layout.precision == nil else { throw JinjaError.runtime("Precision not allowed in integer format specifier") }
        return Text(layout.integer(number, conversion ?? "d"))
      case "c":
        guard let code = UInt32(exactly: number), let scalar = Unicode.Scalar(code) else { throw JinjaError.runtime("%c arg not in range") }
        return Text(layout.pad(String(scalar), default: "<"))
      default: return try format(.float(Double(number)), layout, conversion)
      }
    case .float: return try format(value, layout, conversion)
    default:
      throw JinjaError.runtime("unsupported format string passed to \(value.typeName).__format__")
    }
  }

  private func format(_ value: Value, _ layout: Jinja.NumberFormat, _ conversion: Unicode.Scalar?) throws -> Text {
    guard case .float(let number) = value else { throw unknown(conversion, value) }
    switch conversion {
    case nil:
      guard let precision = layout.precision else {
        let digits = Jinja.PythonFloat.representation(number.magnitude)
        return Text(layout.number(digits, isNegative: number.sign == .minus && !number.isNaN))
      }
      var general = layout
      general.precision = max(precision, 1)
      let digits = Jinja.PythonFloat.general(number.magnitude, precision: max(precision, 1))
      return Text(general.number(digits, isNegative: number.sign == .minus && !number.isNaN))
    case "e", "f", "g", "E", "F", "G", "%", "n":
      var layout = layout
      if conversion == "g" || conversion == "G" || conversion == "n" { layout.precision = max(layout.precision ?? 6, 1) }
      return Text(layout.float(number, conversion == "n" ? "g" : conversion ?? "g"))
    default: throw unknown(conversion, value)
    }
  }

  private func unknown(_ conversion: Unicode.Scalar?, _ value: Value) -> JinjaError {
    .runtime("Unknown format code '\(conversion.map(String.init) ?? "")' for object of type '\(value.typeName)'")
  }

  /// `[[fill]align][sign][#][0][width][grouping][.precision][type]`
  private static func layout(_ spec: [Unicode.Scalar], limit: Int) throws -> (Jinja.NumberFormat, Unicode.Scalar?) {
    var layout = Jinja.NumberFormat()
    var at = 0
    let isAlignment = { (scalar: Unicode.Scalar) in "<>=^".unicodeScalars.contains(scalar) }
    if spec.count > 1, isAlignment(spec[1]) {
      (layout.fill, layout.alignment) = (spec[0], spec[1])
      at = 2
    } else if isAlignment(spec[0]) {
      layout.alignment = spec[0]
      at = 1
    }
    func peek(_ wanted: String) -> Bool { at < spec.count && wanted.unicodeScalars.contains(spec[at]) }
    func count() throws -> Int? {
      var value: Int?
      while at < spec.count, spec[at].isASCIIDigit {
        value = (value ?? 0) * 10 + Int(spec[at].value - 0x30)
        guard (value ?? 0) <= limit else { throw JinjaError(.limit, "the width of a placeholder is too large") }
        at += 1
      }
      return value
    }
    if peek("+- ") {
      (layout.sign, layout.hasSign) = (spec[at], true)
      at += 1
    }
    if peek("#") {
      layout.isAlternate = true
      at += 1
    }
    if peek("0") {
      if at < 2 || !isAlignment(spec[1]) { layout.fill = "0" }
      layout.isZeroPadded = layout.alignment == nil
      at += 1
    }
    layout.width = try count() ?? 0
    if peek(",_") {
      layout.grouping = spec[at]
      at += 1
    }
    if peek(".") {
      at += 1
      guard let precision = try count() else { throw JinjaError.runtime("Format specifier missing precision") }
      layout.precision = precision
    }
    guard at < spec.count else { return (layout, nil) }
    guard at + 1 == spec.count else { throw JinjaError.runtime("Invalid format specifier") }
    return (layout, spec[at])
  }
}

extension Jinja.NumberFormat {
  /// What was asked for that only numbers have.
  fileprivate var flawForText: String? {
    if hasSign { return "Sign" }
    if isAlternate { return "Alternate form (#)" }
    if grouping != nil { return "Grouping" }
    return alignment == "=" ? "'=' alignment" : nil
  }
}

extension Jinja.PythonFloat {
  /// A float in a `{:.3}` placeholder: like `g`, with at least one digit after the point.
  static func general(_ value: Double, precision: Int) -> String {
    let text = formatted(value, "g", precision: precision)
    guard value.isFinite, !text.contains("e") else { return text }
    return text.contains(".") ? text : text + ".0"
  }
}
