extension Jinja.Runtime {
  /// Python's `str(value)`.
  func text(of value: Value) throws -> Text {
    switch value {
    case .text(let text): text
    case .undefined, .missing: Text("")
    case .bool(let flag): Text(flag ? "True" : "False")
    case .int(let number): Text(String(number))
    case .null: Text("None")
    default: try representation(value)
    }
  }

  /// Python's `repr(value)`.
  func representation(_ value: Value) throws -> Text {
    var writer = Jinja.ReprWriter(runtime: self)
    try writer.write(value)
    return Text(writer.bytes)
  }
}

extension Jinja {
  struct ReprWriter {
    let runtime: Runtime
    var bytes: [UInt8] = []
    /// Namespaces that are being written: one that holds itself has no end.
    private var namespaceDepth = 0

    init(runtime: Runtime) { self.runtime = runtime }

    mutating func write(_ value: Value) throws {
      try runtime.step()
      try runtime.checkLength(bytes.count)
      switch value {
      case .missing, .undefined: bytes.append("Undefined")
      case .null: bytes.append("None")
      case .bool(let flag): bytes.append(flag ? "True" : "False")
      case .int(let number): bytes.append(String(number))
      case .float(let number): bytes.append(PythonFloat.representation(number))
      case .text(let text):
        try runtime.charge(bytes: text.byteCount)
        bytes.append(text.isMarkup ? "Markup(" : "")
        Self.quote(text, into: &bytes)
        bytes.append(text.isMarkup ? ")" : "")
      case .list(let box): try write(box.items, "[", "]")
      case .tuple(let box): try write(box.items, "(", box.items.count == 1 ? ",)" : ")")
      case .dict(let dict): try write(dict)
      case .range(let range):
        bytes.append("range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))")
      case .view(let view): try write(view)
      case .namespace(let namespace): try write(namespace)
      case .loop(let loop): bytes.append("<LoopContext \(loop.index + 1)/\(try loop.count(runtime))>")
      case .macro(let macro): bytes.append("<Macro \(macro.code.name.map { "'\($0)'" } ?? "anonymous")>")
      case .iterator(let box): bytes.append("<\(box.typeName) object>")
      case .function(let function): bytes.append("<function \(function.name)>")
      case .helper: bytes.append("<jinja2.utils.\(value.typeName) object>")
      }
    }

    private mutating func write(_ items: [Value], _ open: String, _ close: String) throws {
      bytes.append(open)
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(", ") }
        try write(item)
      }
      bytes.append(close)
    }

    private mutating func write(_ dict: DictBox) throws {
      bytes.append("{")
      for index in 0..<dict.count {
        if index > 0 { bytes.append(", ") }
        try write(dict.keys[index])
        bytes.append(": ")
        try write(dict.values[index])
      }
      bytes.append("}")
    }

    private mutating func write(_ view: DictView) throws {
      var items: [Value] = []
      for index in 0..<view.dict.count { items.append(try view.item(index)) }
      bytes.append("dict_" + view.part.rawValue + "(")
      try write(items, "[", "]")
      bytes.append(")")
    }

    private mutating func write(_ namespace: NamespaceBox) throws {
      namespaceDepth += 1
      defer { namespaceDepth -= 1 }
      guard namespaceDepth < 32 else { throw JinjaError.runtime("maximum recursion depth exceeded while printing a namespace") }
      var dict = DictBuilder()
      for (name, value) in namespace.attributes { try dict.set(.text(name), value) }
      bytes.append("<Namespace ")
      try write(dict.build())
      bytes.append(">")
    }

    /// A string literal as Python's `repr` writes it.
    static func quote(_ text: Text, into bytes: inout [UInt8]) {
      let hasSingle = text.bytes.contains(UInt8(ascii: "'"))
      let quote: Unicode.Scalar = hasSingle && !text.bytes.contains(UInt8(ascii: "\"")) ? "\"" : "'"
      bytes.append(quote)
      var place = 0
      while place < text.byteCount {
        let (scalar, length) = text.scalar(at: place)
        place += length
        switch scalar {
        case quote, "\\":
          bytes.append("\\")
          bytes.append(scalar)
        case "\n": bytes.append("\\n")
        case "\r": bytes.append("\\r")
        case "\t": bytes.append("\\t")
        case _ where scalar.isPythonPrintable: bytes.append(scalar)
        default:
          let value = scalar.value
          let (prefix, width) = value < 0x100 ? ("\\x", 2) : value < 0x10000 ? ("\\u", 4) : ("\\U", 8)
          bytes.append(prefix + value.hexadecimal(width))
        }
      }
      bytes.append(quote)
    }
  }
}

extension UInt32 {
  /// Lower-case hexadecimal digits, with zeros in front up to `width`.
  func hexadecimal(_ width: Int) -> String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: Swift.max(width - digits.utf8.count, 0)) + digits
  }
}

extension Unicode.Scalar {
  /// Python's `str.isprintable`.
  var isPythonPrintable: Bool {
    if value >= 0x20, value < 0x7F { return true }
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
    case .spaceSeparator: return self == " "
    default: return true
    }
  }

  /// Python's `str.isalpha`.
  var isPythonAlphabetic: Bool {
    if isASCII { return ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
    return switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  /// Python's `str.isalnum`.
  var isPythonAlphanumeric: Bool { isPythonAlphabetic || isASCIIDigit || !isASCII && properties.numericType != nil }
}
