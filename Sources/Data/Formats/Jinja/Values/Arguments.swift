extension Jinja {
  /// What a call passes.
  struct Arguments {
    var positional: [Value] = []
    var named: [(name: String, value: Value)] = []

    var isEmpty: Bool { positional.isEmpty && named.isEmpty }

    /// Puts the arguments in the order of `parameters`; the first `required` must be there.
    func bind(_ function: String, _ parameters: [String], required: Int = 0) throws -> [Value?] {
      guard positional.count <= parameters.count else {
        throw JinjaError.runtime("\(function)() takes at most \(parameters.count) arguments (\(positional.count) given)")
      }
      var bound: [Value?] = positional
      bound += Array(repeating: nil, count: parameters.count - positional.count)
      for (name, value) in named {
        guard let place = parameters.firstIndex(of: name) else {
          throw JinjaError.runtime("\(function)() got an unexpected keyword argument '\(name)'")
        }
        guard bound[place] == nil else { throw JinjaError.runtime("\(function)() got multiple values for argument '\(name)'") }
        bound[place] = value
      }
      if let missing = (0..<required).first(where: { bound[$0] == nil }) {
        throw JinjaError.runtime("\(function)() missing required argument: '\(parameters[missing])'")
      }
      return bound
    }

    /// For functions of Python that take no keywords.
    func positionalOnly(_ function: String, _ counts: ClosedRange<Int>) throws -> [Value] {
      guard named.isEmpty else { throw JinjaError.runtime("\(function)() takes no keyword arguments") }
      guard counts.contains(positional.count) else {
        throw JinjaError.runtime("\(function)() takes \(counts.lowerBound) to \(counts.upperBound) arguments (\(positional.count) given)")
      }
      return positional
    }
  }
}

extension Jinja.Value {
  /// The text, or the error that Python gives where a `str` is wanted.
  func expectText(_ function: String) throws -> Text {
    if case .text(let text) = self { return text }
    if case .undefined(let undefined) = self { throw undefined.error }
    throw JinjaError.runtime("\(function)() argument must be str, not \(typeName)")
  }

  func expectInt(_ function: String) throws -> Int {
    if let index { return index }
    if case .undefined(let undefined) = self { throw undefined.error }
    throw JinjaError.runtime("\(function)(): '\(typeName)' object cannot be interpreted as an integer")
  }
}
