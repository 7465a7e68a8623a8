import SwiftletFormats

/// Why a `config.json` cannot be used: which file, which field, what was wanted and what was found.
public struct ConfigError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, as the user knows it.
  public let file: String
  /// The field, with dots where nested; empty for the file as a whole.
  public let field: String
  /// What was wanted and what was found.
  public let message: String
  /// `config.json: field "hidden_size": …`.
  public var description: String { field.isEmpty ? "\(file): \(message)" : "\(file): field \"\(field)\": \(message)" }

  /// An error.
  public init(file: String, field: String = "", _ message: String) {
    self.file = file
    self.field = field
    self.message = message
  }
}

/// A model's `config.json`, read field by field with checks. A field that is null counts as missing.
public struct ModelConfig: Hashable, Sendable {
  /// The document.
  public let json: JSONObject
  /// The file's name in error messages.
  public let file: String
  private let prefix: String

  /// A parsed config.
  public init(_ json: JSONObject, file: String = "config.json") {
    self.init(json, file: file, prefix: "")
  }

  private init(_ json: JSONObject, file: String, prefix: String) {
    self.json = json
    self.file = file
    self.prefix = prefix
  }

  /// Parses the text of a config.
  /// - Throws: `ConfigError` with line and column where the text is no JSON object.
  public init(parsing text: String, file: String = "config.json") throws {
    do {
      guard case .object(let object) = try JSON(parsing: text) else { throw ConfigError(file: file, "a JSON object is wanted") }
      self.init(object, file: file)
    } catch let error as JSONError {
      throw ConfigError(file: file, error.description)
    }
  }

  /// An error about `field`.
  public func error(_ field: String, _ message: String) -> ConfigError { ConfigError(file: file, field: prefix + field, message) }

  /// Whether `field` is there and not null.
  public func has(_ field: String) -> Bool { value(field) != nil }

  private func value(_ field: String) -> JSON? { json[field].flatMap { $0.isNull ? nil : $0 } }

  private func typed<Value>(_ field: String, _ wanted: String, _ read: (JSON) -> Value?) throws -> Value? {
    guard let value = value(field) else { return nil }
    guard let typed = read(value) else { throw error(field, "\(wanted) is wanted, found \(value.excerpt)") }
    return typed
  }

  /// An integer within `range`; nil where missing.
  public func int(_ field: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let value = try typed(field, "an integer", \.int) else { return nil }
    guard range.contains(value) else {
      throw error(field, "an integer from \(range.lowerBound) to \(range.upperBound) is wanted, found \(value)")
    }
    return value
  }

  /// An integer within `range` that must be there.
  public func required(_ field: String, in range: ClosedRange<Int>) throws -> Int {
    guard let value = try int(field, in: range) else {
      throw error(field, "missing: an integer from \(range.lowerBound) to \(range.upperBound) is wanted")
    }
    return value
  }

  /// A finite number that `accepts` takes; nil where missing.
  public func number(_ field: String, _ wanted: String = "a number", where accepts: (Double) -> Bool = { _ in true }) throws -> Double? {
    guard let value = try typed(field, wanted, \.double) else { return nil }
    guard value.isFinite, accepts(value) else { throw error(field, "\(wanted) is wanted, found \(value)") }
    return value
  }

  /// A finite number over 0; nil where missing.
  public func positive(_ field: String) throws -> Double? {
    try number(field, "a number over 0 (at most 1e12)") { $0 > 0 && $0 <= 1e12 }
  }

  /// A Boolean; nil where missing.
  public func bool(_ field: String) throws -> Bool? { try typed(field, "true or false", \.bool) }
  /// A string; nil where missing.
  public func string(_ field: String) throws -> String? { try typed(field, "a string", \.string) }

  /// Integers, each within `range`; nil where missing. A single integer counts as a list of one.
  public func ints(_ field: String, in range: ClosedRange<Int>) throws -> [Int]? {
    try typed(field, "a list of integers from \(range.lowerBound) to \(range.upperBound)") { json in
      let values = json.array.map { $0.map(\.int) } ?? [json.int]
      let inside = values.compactMap { $0.flatMap { range.contains($0) ? $0 : nil } }
      return inside.count == values.count ? inside : nil
    }
  }

  /// Positive numbers, exactly `count` of them; nil where missing.
  public func positives(_ field: String, count: Int) throws -> [Double]? {
    try typed(field, "a list of \(count) numbers over 0") { json in
      let values = json.array?.compactMap(\.double).filter { $0.isFinite && $0 > 0 }
      return values?.count == count && json.array?.count == count ? values : nil
    }
  }

  /// Strings; nil where missing.
  public func strings(_ field: String) throws -> [String]? {
    try typed(field, "a list of strings") { json in
      let values = json.array?.compactMap(\.string)
      return values?.count == json.array?.count ? values : nil
    }
  }

  /// An object to read fields of; nil where missing.
  public func object(_ field: String) throws -> ModelConfig? {
    try typed(field, "an object", \.object).map { ModelConfig($0, file: file, prefix: prefix + field + ".") }
  }
}

extension JSON {
  /// At most 60 characters of the text, for messages.
  fileprivate var excerpt: String {
    let text = serialized()
    return text.count > 60 ? text.prefix(60) + "…" : text
  }
}
