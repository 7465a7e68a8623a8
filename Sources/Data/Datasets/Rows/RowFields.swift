import SwiftletFormats

/// A field that is not as its layout wants it.
struct RowError: Error {
  let path: JSONPath
  let message: String

  /// `"field" …what`.
  init(_ path: JSONPath, _ what: String) {
    self.path = path
    message = "\(path.quoted) \(what)"
  }
}

/// Typed access to the fields of a row, with errors that name the field.
struct RowFields {
  let object: JSONObject
  let path: JSONPath

  init(_ value: JSON, at path: JSONPath = JSONPath()) throws(RowError) {
    guard let object = value.object else { throw RowError(path, "is \(value.kind), want an object") }
    self.object = object
    self.path = path
  }

  /// The field, or nil where it is missing or null.
  subscript(key: String) -> JSON? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  func string(_ key: String) throws(RowError) -> String {
    guard let value = object[key] else { throw missing(key, "a string") }
    guard let text = value.string else { throw RowError(path.appending(key), "is \(value.kind), want a string") }
    return text
  }

  func filledString(_ key: String, why: String) throws(RowError) -> String {
    let text = try string(key)
    guard text.contains(where: { !$0.isWhitespace }) else { throw RowError(path.appending(key), "is empty: \(why)") }
    return text
  }

  /// Empty and null count as missing.
  func optionalString(_ key: String) throws(RowError) -> String? {
    guard let value = self[key] else { return nil }
    guard let text = value.string else { throw RowError(path.appending(key), "is \(value.kind), want a string") }
    return text.isEmpty ? nil : text
  }

  func array(_ key: String) throws(RowError) -> [JSON] {
    guard let value = object[key] else { throw missing(key, "an array") }
    guard let elements = value.array else { throw RowError(path.appending(key), "is \(value.kind), want an array") }
    guard !elements.isEmpty else { throw RowError(path.appending(key), "is an empty array") }
    return elements
  }

  func missing(_ key: String, _ kind: String) -> RowError {
    let hint = Suggestion.nearest(to: key, among: object.keys).map { ", did you mean \"\($0)\"?" } ?? ""
    let keys =
      object.keys.isEmpty ? "the row has no fields" : "there are \(object.keys.prefix(8).map { "\"\($0)\"" }.joined(separator: " "))"
    return RowError(path.appending(key), "is missing, want \(kind) (\(keys)\(hint))")
  }
}
