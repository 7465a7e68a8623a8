/// A JSON document. Objects keep the order of their keys, as chat templates and tokenizer files need.
///
/// Integers that fit in 64 bits stay exact; every other number is a `Double`.
public enum JSON: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

/// A string compared by its bytes. Swift's own `==` follows canonical equivalence ("é" in one or two scalars), which is wrong for
/// tokens, template strings and keys of files.
public struct ExactString: Hashable, Sendable {
  /// The text.
  public let text: String
  /// Wraps `text`.
  public init(_ text: String) { self.text = text }
  /// Equal bytes.
  public static func == (a: ExactString, b: ExactString) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }
  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension JSON {
  /// The string, or nil for any other kind.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The integer, also of a number without fraction; nil for any other kind.
  public var int: Int? {
    switch self {
    case .int(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }
  /// The number, also of an integer; nil for any other kind.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  /// The Boolean, or nil for any other kind.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The elements, or nil for any other kind.
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  /// The object, or nil for any other kind.
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  /// Whether this is `null`.
  public var isNull: Bool { self == .null }
  /// The value under `key` of an object; nil where this is no object or has no such key.
  public subscript(key: String) -> JSON? { object?[key] }

  /// The kind's name as an error message says it.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a Boolean"
    case .int, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
