import SwiftletFormats

/// Writes JSON values as YAML in block style, short lists in one line.
enum YAMLText {
  static func write(_ json: JSON) -> String {
    var out = ""
    block(json, indent: 0, into: &out)
    return out
  }

  private static func block(_ json: JSON, indent: Int, into out: inout String) {
    guard case .object(let object) = json else { return out += scalar(json) + "\n" }
    for (key, value) in object {
      out += String(repeating: " ", count: indent) + quoted(key) + ":"
      if case .object(let inner) = value, inner.count > 0 {
        out += "\n"
        block(value, indent: indent + 2, into: &out)
      } else {
        out += " " + scalar(value) + "\n"
      }
    }
  }

  private static func scalar(_ json: JSON) -> String {
    switch json {
    case .string(let text): quoted(text)
    case .array(let items): "[" + items.map(scalar).joined(separator: ", ") + "]"
    case .object(let object): "{" + object.map { quoted($0.key) + ": " + scalar($0.value) }.joined(separator: ", ") + "}"
    case .number(let value): number(value)
    default: json.serialized()
    }
  }

  /// YAML 1.1 wants a point in the mantissa: 1e-08 would be text.
  private static func number(_ value: Double) -> String {
    let text = value.description
    guard let e = text.firstIndex(where: { $0 == "e" || $0 == "E" }), !text[..<e].contains(".") else { return text }
    return text[..<e] + ".0" + text[e...]
  }

  /// Plain where no reader could take it for anything else, otherwise in JSON's quotes, which YAML shares.
  private static func quoted(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"): true
      default: false
      }
    }
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
    let startsPlain = text.utf8.first.map { $0 >= UInt8(ascii: "A") || $0 == UInt8(ascii: "/") } ?? false
    return plain && startsPlain && !words.contains(text.lowercased()) ? text : JSON.string(text).serialized()
  }
}
