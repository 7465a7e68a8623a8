/// The way from the root of a document to one value in it.
public struct JSONPath: Hashable, Sendable, CustomStringConvertible {
  /// One step.
  public enum Part: Hashable, Sendable {
    /// Into an object.
    case key(String)
    /// Into an array, from 0.
    case index(Int)
  }
  /// The steps from the root.
  public var parts: [Part]

  /// A path of steps.
  public init(_ parts: [Part] = []) { self.parts = parts }
  /// The path one key further.
  public func appending(_ key: String) -> JSONPath { JSONPath(parts + [.key(key)]) }
  /// The path one element further.
  public func appending(_ index: Int) -> JSONPath { JSONPath(parts + [.index(index)]) }

  /// As recipes write it: `saving.export[0].gguf`.
  public var description: String {
    var text = ""
    for part in parts {
      switch part {
      case .key(let key): text += text.isEmpty ? key : ".\(key)"
      case .index(let index): text += "[\(index)]"
      }
    }
    return text.isEmpty ? "the document" : text
  }

  /// As errors about data rows write it: `"messages"[2].content`.
  public var quoted: String {
    guard case .key(let first)? = parts.first else { return parts.isEmpty ? "the row" : description }
    let rest = JSONPath(Array(parts.dropFirst()))
    guard let second = rest.parts.first else { return "\"\(first)\"" }
    if case .key = second { return "\"\(first)\".\(rest)" }
    return "\"\(first)\"\(rest)"
  }
}

extension JSON {
  /// The value at `path`; nil where there is none.
  public subscript(at path: JSONPath) -> JSON? {
    var value = self
    for part in path.parts {
      let next: JSON?
      switch part {
      case .key(let key): next = value.object?[key]
      case .index(let index): next = value.array.flatMap { $0.indices.contains(index) ? $0[index] : nil }
      }
      guard let next else { return nil }
      value = next
    }
    return value
  }

  /// The byte in `text` where the value at `path` starts, or where the deepest value on the way starts that is there. For error messages:
  /// scans the text again.
  package static func offset(of path: JSONPath, in text: UnsafeRawBufferPointer) -> Int {
    var parser = JSONParser(bytes: text)
    var place = 0
    for part in path.parts {
      parser.skipSpace()
      place = parser.at
      guard let found = try? parser.enter(part), found else { return place }
    }
    parser.skipSpace()
    return parser.at
  }
}

extension JSONParser {
  /// Moves to the value that `part` leads to, inside the container that starts here; false where there is none.
  fileprivate mutating func enter(_ part: JSONPath.Part) throws(JSONError) -> Bool {
    let open = byte
    guard open == UInt8(ascii: "{") || open == UInt8(ascii: "[") else { return false }
    at += 1
    var count = 0
    while true {
      skipSpace()
      guard let byte, byte != UInt8(ascii: "}"), byte != UInt8(ascii: "]") else { return false }
      switch part {
      case .key(let key):
        guard open == UInt8(ascii: "{"), byte == UInt8(ascii: "\"") else { return false }
        let found = try string()
        skipSpace()
        at += 1
        if found.utf8.elementsEqual(key.utf8) { return true }
      case .index(let index):
        guard open == UInt8(ascii: "[") else { return false }
        if count == index { return true }
      }
      _ = try value()
      skipSpace()
      guard self.byte == UInt8(ascii: ",") else { return false }
      at += 1
      count += 1
    }
  }
}
