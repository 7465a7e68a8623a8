/// Why a text is not JSON: the place (1-based) and what was wrong there.
public struct JSONError: Error, CustomStringConvertible, Hashable, Sendable {
  /// Line, from 1.
  public let line: Int
  /// Column in bytes, from 1.
  public let column: Int
  /// What was wanted and what was found.
  public let message: String
  /// `line:column: message`.
  public var description: String { "\(line):\(column): \(message)" }

  /// An error at a place.
  package init(line: Int, column: Int, message: String) {
    self.line = line
    self.column = column
    self.message = message
  }
}

extension JSON {
  /// Parses one JSON document (RFC 8259, UTF-8). Linear in its length.
  ///
  /// Stricter than most parsers, because files are not trusted: duplicate keys, lone surrogates, invalid UTF-8, a byte order mark,
  /// numbers outside the range of `Double`, nesting over 512 and text after the document are errors.
  /// - Throws: `JSONError` with line and column.
  public init(parsing text: String) throws(JSONError) {
    var text = text
    var result: Result<JSON, JSONError> = .success(.null)
    text.withUTF8 { result = JSON.parse(UnsafeRawBufferPointer($0)) }
    self = try result.get()
  }

  /// Parses the bytes of one JSON document; see `init(parsing:)`.
  public init(parsing bytes: some Sequence<UInt8>) throws(JSONError) {
    var result: Result<JSON, JSONError>?
    if let found = bytes.withContiguousStorageIfAvailable({ JSON.parse(UnsafeRawBufferPointer($0)) }) {
      result = found
    }
    self = try (result ?? Array(bytes).withUnsafeBytes { JSON.parse($0) }).get()
  }

  private static func parse(_ bytes: UnsafeRawBufferPointer) -> Result<JSON, JSONError> {
    var parser = JSONParser(bytes: bytes)
    do throws(JSONError) { return .success(try parser.document()) } catch { return .failure(error) }
  }
}

/// A recursive descent parser over bytes that stay alive for its life.
struct JSONParser {
  static let depthLimit = 512
  let bytes: UnsafeRawBufferPointer
  var at = 0
  var depth = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func document() throws(JSONError) -> JSON {
    let value = try value()
    skipSpace()
    guard at == bytes.count else { throw error("text after the end of the document") }
    return value
  }

  private func error(_ message: String, at place: Int? = nil) -> JSONError {
    let place = min(place ?? at, bytes.count)
    var line = 1
    var lineStart = 0
    for i in 0..<place where bytes[i] == UInt8(ascii: "\n") {
      line += 1
      lineStart = i + 1
    }
    return JSONError(line: line, column: place - lineStart + 1, message: message)
  }

  var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipSpace() {
    while at < bytes.count {
      switch bytes[at] {
      case 0x20, 0x0A, 0x0D, 0x09: at += 1
      default: return
      }
    }
  }

  mutating func value() throws(JSONError) -> JSON {
    skipSpace()
    guard let byte else { throw error("the document ends where a value is wanted") }
    switch byte {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw error("a value is wanted, found \(name(byte))")
    }
  }

  private func name(_ byte: UInt8) -> String {
    (0x21...0x7E).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
  }

  private mutating func literal(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    let length = word.utf8CodeUnitCount
    guard at + length <= bytes.count else { throw error("the document ends inside a word") }
    for i in 0..<length where bytes[at + i] != word.utf8Start[i] { throw error("'\(word)' is wanted") }
    at += length
    return value
  }

  private mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= Self.depthLimit else { throw error("nesting deeper than \(Self.depthLimit)") }
    at += 1
    skipSpace()
  }

  private mutating func array() throws(JSONError) -> JSON {
    try enter()
    var elements: [JSON] = []
    if byte == UInt8(ascii: "]") {
      at += 1
      depth -= 1
      return .array(elements)
    }
    while true {
      elements.append(try value())
      skipSpace()
      switch byte {
      case UInt8(ascii: ","): at += 1
      case UInt8(ascii: "]"):
        at += 1
        depth -= 1
        return .array(elements)
      default: throw error("',' or ']' is wanted in an array")
      }
    }
  }

  private mutating func object() throws(JSONError) -> JSON {
    try enter()
    var object = JSONObject()
    if byte == UInt8(ascii: "}") {
      at += 1
      depth -= 1
      return .object(object)
    }
    while true {
      skipSpace()
      let keyPlace = at
      guard byte == UInt8(ascii: "\"") else { throw error("a key in quotation marks is wanted") }
      let key = try string()
      skipSpace()
      guard byte == UInt8(ascii: ":") else { throw error("':' is wanted after the key \"\(key)\"") }
      at += 1
      guard object.append(key, try value()) else { throw error("the key \"\(key)\" stands twice in one object", at: keyPlace) }
      skipSpace()
      switch byte {
      case UInt8(ascii: ","): at += 1
      case UInt8(ascii: "}"):
        at += 1
        depth -= 1
        return .object(object)
      default: throw error("',' or '}' is wanted in an object")
      }
    }
  }

  private mutating func number() throws(JSONError) -> JSON {
    let start = at
    if byte == UInt8(ascii: "-") { at += 1 }
    let firstDigit = at
    try digits()
    if bytes[firstDigit] == UInt8(ascii: "0"), at - firstDigit > 1 { throw error("a number with a leading zero", at: start) }
    var isInteger = true
    if byte == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      try digits()
    }
    if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      isInteger = false
      at += 1
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw error("a number out of range: \(text.prefix(40))", at: start) }
    return .number(value)
  }

  private mutating func digits() throws(JSONError) {
    let start = at
    while let digit = byte, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) { at += 1 }
    guard at > start else { throw error("a digit is wanted") }
  }

  mutating func string() throws(JSONError) -> String {
    let open = at
    at += 1
    let start = at
    while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 { at += 1 }
    guard at < bytes.count else { throw error("a string without an end", at: open) }
    if bytes[at] == UInt8(ascii: "\"") {
      defer { at += 1 }
      return try utf8(bytes[start..<at], from: start)
    }
    var buffer = Array(bytes[start..<at])
    while let next = byte {
      switch next {
      case UInt8(ascii: "\""):
        at += 1
        return try utf8(buffer, from: start)
      case UInt8(ascii: "\\"): try escape(into: &buffer)
      case 0..<0x20: throw error("a control character in a string")
      default:
        buffer.append(next)
        at += 1
      }
    }
    throw error("a string without an end", at: open)
  }

  private func utf8(_ slice: some Sequence<UInt8>, from place: Int) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else { throw error("a string that is not UTF-8", at: place) }
    return text
  }

  private mutating func escape(into buffer: inout [UInt8]) throws(JSONError) {
    let place = at
    at += 1
    guard let kind = byte else { throw error("a string without an end") }
    at += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(kind)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"): buffer.append(contentsOf: String(try scalar(place)).utf8)
    default: throw error("an unknown escape", at: place)
    }
  }

  private mutating func scalar(_ place: Int) throws(JSONError) -> Unicode.Scalar {
    let first = try hex4()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), byte == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") else {
      throw error("half of a surrogate pair", at: place)
    }
    at += 2
    let second = try hex4()
    guard (0xDC00..<0xE000).contains(second), let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) else {
      throw error("half of a surrogate pair", at: place)
    }
    return scalar
  }

  private mutating func hex4() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = byte, let nibble = Character(Unicode.Scalar(digit)).hexDigitValue, digit < 0x80 else {
        throw error("four hexadecimal digits are wanted")
      }
      value = value << 4 | UInt32(nibble)
      at += 1
    }
    return value
  }
}
