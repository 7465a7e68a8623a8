extension JSON {
  /// The document as text. Keys keep their order; text outside ASCII is written as it is.
  /// - Parameter indent: spaces per level; nil writes one line with `", "` and `": "` left out.
  public func serialized(indent: Int? = nil) -> String {
    var out = ""
    write(into: &out, indent: indent, level: 0)
    return out
  }

  private func write(into out: inout String, indent: Int?, level: Int) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += String(value)
    case .number(let value): out += JSON.text(value)
    case .string(let value): JSON.quote(value, into: &out)
    case .array(let elements):
      JSON.list("[", "]", elements.count, into: &out, indent: indent, level: level) { index, out in
        elements[index].write(into: &out, indent: indent, level: level + 1)
      }
    case .object(let object):
      JSON.list("{", "}", object.count, into: &out, indent: indent, level: level) { index, out in
        let key = object.keys[index]
        JSON.quote(key, into: &out)
        out += indent == nil ? ":" : ": "
        (object[key] ?? .null).write(into: &out, indent: indent, level: level + 1)
      }
    }
  }

  private static func list(
    _ open: String, _ close: String, _ count: Int, into out: inout String, indent: Int?, level: Int, item: (Int, inout String) -> Void
  ) {
    out += open
    for index in 0..<count {
      if index > 0 { out += "," }
      newline(into: &out, indent: indent, level: level + 1)
      item(index, &out)
    }
    if count > 0 { newline(into: &out, indent: indent, level: level) }
    out += close
  }

  private static func newline(into out: inout String, indent: Int?, level: Int) {
    guard let indent else { return }
    out += "\n" + String(repeating: " ", count: indent * level)
  }

  /// JSON has no NaN or infinity: they are written as null.
  private static func text(_ value: Double) -> String {
    value.isFinite ? value.description : "null"
  }

  private static func quote(_ text: String, into out: inout String) {
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{0}"..<" ": out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}
