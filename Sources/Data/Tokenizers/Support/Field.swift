import SwiftletFormats

/// A value of a JSON file with its path, so that every error can name the place.
struct Field {
  let file: String
  let path: String
  let json: JSON

  func error(_ message: String) -> TokenizerError { TokenizerError(file: file, field: path, message) }

  private func wanted(_ kind: String) -> TokenizerError {
    let found: String
    switch json {
    case .string(let text): found = "the string \"\(text.prefix(60))\""
    case .int(let value): found = "the number \(value)"
    case .bool(let value): found = "\(value)"
    default: found = json.kind
    }
    return error("\(kind) is wanted, found \(found)")
  }

  /// The value under `key`, nil where it is absent or null.
  func optional(_ key: String) throws -> Field? {
    guard let object = json.object else { throw wanted("an object") }
    guard let value = object[key], !value.isNull else { return nil }
    return Field(file: file, path: path.isEmpty ? key : path + "." + key, json: value)
  }

  /// The value under `key`; an error where it is absent or null.
  func required(_ key: String) throws -> Field {
    guard let field = try optional(key) else {
      throw TokenizerError(file: file, field: path.isEmpty ? key : path + "." + key, "the field is missing")
    }
    return field
  }

  func string() throws -> String {
    guard let value = json.string else { throw wanted("a string") }
    return value
  }

  func bytes() throws -> [UInt8] { Array(try string().utf8) }

  func bool() throws -> Bool {
    guard let value = json.bool else { throw wanted("true or false") }
    return value
  }

  func int(in range: ClosedRange<Int>) throws -> Int {
    guard let value = json.int, range.contains(value) else { throw wanted("an integer of \(range.lowerBound) to \(range.upperBound)") }
    return value
  }

  func tokenID() throws -> Int { try int(in: 0...TokenTable.idLimit) }

  func scalar() throws -> Unicode.Scalar {
    let scalars = try string().unicodeScalars
    guard let first = scalars.first, scalars.count == 1 else { throw wanted("a string of one character") }
    return first
  }

  /// The elements with their paths.
  func array() throws -> [Field] {
    guard let values = json.array else { throw wanted("an array") }
    return values.enumerated().map { Field(file: file, path: "\(path)[\($0)]", json: $1) }
  }

  func bool(_ key: String, default value: Bool) throws -> Bool { try optional(key)?.bool() ?? value }

  func type() throws -> String? { try optional("type")?.string() }
}
