extension Jinja {
  /// Filters, tests and global functions.
  enum Builtins {
    typealias Filter = @Sendable (Value, Arguments, Runtime) throws -> Value
    typealias Test = @Sendable (Value, Arguments, Runtime) throws -> Bool

    static let filters: [String: Filter] = textFilters.merging(layoutFilters) { a, _ in a }.merging(numberFilters) { a, _ in a }
      .merging(sequenceFilters) { a, _ in a }.merging(lazyFilters) { a, _ in a }.merging(orderFilters) { a, _ in a }
      .merging(markupFilters) { a, _ in a }

    /// What jinja2 does wherever it takes `attribute=`: a dotted path of keys and indices.
    struct Path {
      let parts: [Value]

      init(_ attribute: Value?) {
        switch attribute {
        case nil, .some(.null): parts = []
        case .text(let text): parts = text.split(by: Text("."), limit: -1).map(Self.part)
        case .some(let value): parts = [value]
        }
      }

      static func several(_ attribute: Value?) -> [Path] {
        guard case .text(let text)? = attribute else { return [Path(attribute)] }
        return text.split(by: Text(","), limit: -1).map { Path(.text($0)) }
      }

      private static func part(_ text: Text) -> Value {
        let isNumber = !text.isEmpty && text.scalars.allSatisfy(\.isASCIIDigit)
        return isNumber ? Int(text.string).map { .int($0) } ?? .text(text) : .text(text)
      }

      func get(_ value: Value, _ runtime: Runtime, fallback: Value? = nil) throws -> Value {
        var value = value
        for part in parts {
          try runtime.step()
          value = try runtime.item(part, of: value)
          if let fallback, !fallback.isNone, value.isUndefined { value = fallback }
        }
        return value
      }
    }

    /// Small letters, where `value` is a string.
    static func ignoringCase(_ value: Value, _ runtime: Runtime) throws -> Value {
      guard case .text(let text) = value else { return value }
      try runtime.charge(bytes: text.byteCount)
      return .text(text.lowercased)
    }

    static func filter(_ name: Value, _ runtime: Runtime) throws -> Filter {
      guard case .text(let text) = name, let filter = filters[text.string] else {
        throw JinjaError.runtime("No filter named \(try runtime.representation(name).string).")
      }
      return filter
    }

    static func test(_ name: Value, _ runtime: Runtime) throws -> Test {
      guard case .text(let text) = name, let test = tests[text.string] else {
        throw JinjaError.runtime("No test named \(try runtime.representation(name).string).")
      }
      return test
    }
  }
}
