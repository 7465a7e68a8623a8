extension Jinja.Builtins {
  private static let escape: Filter = { value, arguments, runtime in
    _ = try arguments.bind("escape", [])
    return .text(try runtime.escaped(runtime.text(of: value)))
  }

  static let markupFilters: [String: Filter] = [
    "escape": escape,
    "e": escape,
    "forceescape": { value, arguments, runtime in
      _ = try arguments.bind("forceescape", [])
      return .text(try runtime.escaped(runtime.text(of: value).plain))
    },
    "safe": { value, arguments, runtime in
      _ = try arguments.bind("safe", [])
      return .text(try runtime.text(of: value).with(markup: true))
    },
    "striptags": { value, arguments, runtime in
      _ = try arguments.bind("striptags", [])
      return .text(try strippingTags(runtime.text(of: value).plain, runtime))
    },
    "xmlattr": { value, arguments, runtime in
      let autospace = try arguments.bind("xmlattr", ["autospace"])[0]?.isTrue ?? true
      guard case .dict(let dict) = value else { throw JinjaError.runtime("'\(value.typeName)' object has no attribute 'items'") }
      var parts: [Value] = []
      for (key, value) in zip(dict.keys, dict.values) where !value.isNone && !value.isUndefined {
        let name = try key.expectText("xmlattr")
        guard !name.bytes.contains(where: { " \t\n\r\u{0B}\u{0C}/>=".utf8.contains($0) }) else {
          throw JinjaError.runtime("Invalid character in attribute name: \(try runtime.representation(key).string)")
        }
        parts.append(Value("\(try runtime.escaped(name).string)=\"\(try runtime.escaped(runtime.text(of: value)).string)\""))
      }
      let joined = try runtime.join(parts, separator: Text(" "), strict: true)
      return .text(autospace && !joined.isEmpty ? Text(" ").appending(joined) : joined)
    },
    "urlize": { _, _, _ in throw JinjaError.runtime("the filter 'urlize' is not supported: chat templates are text, not HTML") },
  ]

  private static func strippingTags(_ text: Text, _ runtime: Runtime) throws -> Text {
    try runtime.charge(bytes: 4 * text.byteCount)
    let uncommented = removing(from: text, open: Text("<!--"), close: Text("-->"))
    let bare = removing(from: uncommented, open: Text("<"), close: Text(">"))
    let words = try runtime.join(bare.splitAtSpace(limit: -1).map { .text($0) }, separator: Text(" "), strict: true)
    return unescaped(words)
  }

  private static func removing(from text: Text, open: Text, close: Text) -> Text {
    var out: [UInt8] = []
    var from = 0
    while let start = text.firstRange(of: open, from: from), let end = text.firstRange(of: close, from: start.lowerBound) {
      out += text.window(from..<start.lowerBound).bytes
      from = end.upperBound
    }
    out += text.window(from..<text.byteCount).bytes
    return Text(out)
  }

  /// Character references by number, and the named ones that text meets.
  private static func unescaped(_ text: Text) -> Text {
    var out: [UInt8] = []
    var at = 0
    while at < text.byteCount {
      let byte = text.buffer.bytes[text.start + at]
      guard byte == UInt8(ascii: "&"), let end = text.firstRange(of: Text(";"), from: at, before: min(at + 12, text.byteCount)),
        let scalar = reference(text.window(at + 1..<end.lowerBound).string)
      else {
        out.append(byte)
        at += 1
        continue
      }
      out.append(scalar)
      at = end.upperBound
    }
    return Text(out)
  }

  private static func reference(_ name: String) -> Unicode.Scalar? {
    if name.hasPrefix("#x") || name.hasPrefix("#X") { return UInt32(name.dropFirst(2), radix: 16).flatMap(Unicode.Scalar.init) }
    if name.hasPrefix("#") { return UInt32(name.dropFirst()).flatMap(Unicode.Scalar.init) }
    return [
      "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{A0}", "copy": "©", "reg": "®", "raquo": "»", "laquo": "«",
      "mdash": "—", "ndash": "–", "hellip": "…", "euro": "€",
    ][name]
  }
}
