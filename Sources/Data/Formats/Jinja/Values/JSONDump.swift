extension Jinja {
  /// Python's `json.dumps`, as the `tojson` of transformers calls it.
  struct JSONDump {
    let runtime: Runtime
    var indent: Text?
    var itemSeparator = Text(", ")
    var keySeparator = Text(": ")
    var sortsKeys = false
    var ensuresASCII = false
    private(set) var bytes: [UInt8] = []

    init(runtime: Runtime) { self.runtime = runtime }

    mutating func write(_ value: Value, level: Int = 0) throws {
      try runtime.step()
      try runtime.checkLength(bytes.count)
      switch value {
      case .null: bytes.append("null")
      case .bool(let flag): bytes.append(flag ? "true" : "false")
      case .int(let number): bytes.append(String(number))
      case .float(let number): bytes.append(Self.number(number))
      case .text(let text): try quote(text)
      case .list(let box), .tuple(let box):
        try group("[", "]", box.items.count, level) { try $0.write(box.items[$1], level: level + 1) }
      case .dict(let dict): try write(dict, level: level)
      default: throw JinjaError.runtime("Object of type \(value.typeName) is not JSON serializable")
      }
    }

    private static func number(_ value: Double) -> String {
      value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonFloat.representation(value)
    }

    private mutating func group(_ open: String, _ close: String, _ count: Int, _ level: Int, _ item: (inout Self, Int) throws -> Void)
      throws
    {
      bytes.append(open)
      for index in 0..<count {
        if index > 0 { bytes += itemSeparator.bytes }
        try newline(level + 1)
        try item(&self, index)
      }
      if count > 0 { try newline(level) }
      bytes.append(close)
    }

    private mutating func newline(_ level: Int) throws {
      guard let indent else { return }
      try runtime.charge(bytes: indent.byteCount * level)
      bytes.append("\n")
      for _ in 0..<level { bytes += indent.bytes }
    }

    private mutating func write(_ dict: DictBox, level: Int) throws {
      var places = Array(0..<dict.count)
      if sortsKeys { try places.sort { try runtime.isLess(dict.keys[$0], dict.keys[$1]) } }
      try group("{", "}", places.count, level) { dump, index in
        let place = places[index]
        try dump.quote(Self.key(dict.keys[place]))
        dump.bytes += dump.keySeparator.bytes
        try dump.write(dict.values[place], level: level + 1)
      }
    }

    private static func key(_ value: Value) throws -> Text {
      switch value {
      case .text(let text): text
      case .null: Text("null")
      case .bool(let flag): Text(flag ? "true" : "false")
      case .int(let number): Text(String(number))
      case .float(let float): Text(number(float))
      default: throw JinjaError.runtime("keys must be str, int, float, bool or None, not \(value.typeName)")
      }
    }

    private mutating func quote(_ text: Text) throws {
      try runtime.charge(bytes: text.byteCount)
      try runtime.checkLength(bytes.count + text.byteCount)
      bytes.append("\"")
      if ensuresASCII {
        for scalar in text.scalars { escape(scalar) }
      } else {
        for byte in text.bytes { if byte < 0x80 { escape(Unicode.Scalar(byte)) } else { bytes.append(byte) } }
      }
      bytes.append("\"")
    }

    private mutating func escape(_ scalar: Unicode.Scalar) {
      switch scalar {
      case "\"": bytes.append("\\\"")
      case "\\": bytes.append("\\\\")
      case "\n": bytes.append("\\n")
      case "\r": bytes.append("\\r")
      case "\t": bytes.append("\\t")
      case "\u{08}": bytes.append("\\b")
      case "\u{0C}": bytes.append("\\f")
      case " "..."~": bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      case "\u{7F}" where !ensuresASCII: bytes.append(0x7F)
      default: for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter { bytes.append("\\u" + UInt32(unit).hexadecimal(4)) }
      }
    }
  }
}
