extension JSON {
  /// The value as YAML in block style, two spaces a level. Reads back as the same value by `YAMLDocument` and by any YAML 1.1 or 1.2 reader.
  public func yaml() -> String {
    var out = ""
    switch self {
    case .object(let object) where object.count > 0: JSON.write(object, into: &out, level: 0)
    case .array(let elements) where !JSON.isFlow(elements): JSON.write(elements, into: &out, level: 0)
    default: out += JSON.flow(self) + "\n"
    }
    return out
  }

  private static func write(_ object: JSONObject, into out: inout String, level: Int, indentFirst: Bool = true) {
    for (index, (key, value)) in object.enumerated() {
      if index > 0 || indentFirst { out += String(repeating: "  ", count: level) }
      out += scalar(key) + ":"
      writeValue(value, into: &out, level: level + 1)
    }
  }

  private static func write(_ elements: [JSON], into out: inout String, level: Int) {
    for element in elements {
      out += String(repeating: "  ", count: level) + "-"
      if case .object(let object) = element, object.count > 0 {
        out += " "
        write(object, into: &out, level: level + 1, indentFirst: false)
      } else {
        writeValue(element, into: &out, level: level + 1)
      }
    }
  }

  private static func writeValue(_ value: JSON, into out: inout String, level: Int) {
    switch value {
    case .object(let object) where object.count > 0:
      out += "\n"
      write(object, into: &out, level: level)
    case .array(let elements) where !isFlow(elements):
      out += "\n"
      write(elements, into: &out, level: level)
    default: out += " " + flow(value) + "\n"
    }
  }

  /// Arrays of scalars stand on one line.
  private static func isFlow(_ elements: [JSON]) -> Bool {
    elements.allSatisfy { if case .object(let object) = $0 { object.count == 0 } else { $0.array.map(\.isEmpty) ?? true } }
  }

  private static func flow(_ value: JSON) -> String {
    switch value {
    case .string(let text): scalar(text)
    case .number(let number): number.isFinite ? floatText(number) : "null"
    case .array(let elements): "[" + elements.map { flow($0) }.joined(separator: ", ") + "]"
    default: value.serialized()
    }
  }

  /// Readers of YAML 1.1 want a point in the mantissa (`1e-05` is a string to them).
  private static func floatText(_ number: Double) -> String {
    let text = number.description
    guard let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") else { return text }
    return text[..<exponent] + ".0" + text[exponent...]
  }

  /// Plain where every reader sees the same string, else in double quotation marks.
  private static func scalar(_ text: String) -> String {
    let words: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
    guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "/"), text.utf8.count <= 200 else { return quoted(text) }
    let isPlain = text.utf8.allSatisfy { byte in
      isLetter(byte) || (0x30...0x39).contains(byte) || [0x20, 0x2D, 0x2E, 0x2F, 0x2B, 0x28, 0x29].contains(byte)
    }
    guard isPlain, text.utf8.last != 0x20, !words.contains(text.lowercased()) else { return quoted(text) }
    return text
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "_") }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      default: out += isPrintable(scalar) ? String(scalar) : escaped(scalar)
      }
    }
    return out + "\""
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    let hex = String(scalar.value, radix: 16)
    let width = scalar.value > 0xFFFF ? 8 : 4
    return (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - hex.count) + hex
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x20...0x7E, 0xA0...0x2027, 0x202A...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...0x10FFFF: true
    default: false
    }
  }
}
