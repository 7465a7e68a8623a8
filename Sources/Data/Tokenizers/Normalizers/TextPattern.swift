/// What `Replace` and `Split` look for.
enum TextPattern: Sendable {
  case literal([UInt8])
  case regex(RegexProgram)

  /// Calls `found` with each match in `range`, in order.
  func matches(in text: Bytes, _ range: Range<Int>, _ found: (Int, Int) throws -> Void) throws {
    switch self {
    case .regex(let program):
      var matcher = RegexMatcher(program)
      try matcher.matches(in: text, range, found)
    case .literal(let literal):
      guard let first = literal.first else {
        // An empty pattern matches before every scalar.
        var at = range.lowerBound
        while at < range.upperBound {
          try found(at, at)
          at += Bytes.width(text[at])
        }
        return try found(at, at)
      }
      var at = range.lowerBound
      let last = range.upperBound - literal.count
      while at <= last {
        if text[at] == first, literal.indices.allSatisfy({ text[at + $0] == literal[$0] }) {
          try found(at, at + literal.count)
          at += literal.count
        } else {
          at += 1
        }
      }
    }
  }

  func matches(in bytes: [UInt8]) throws -> [Range<Int>] {
    var result: [Range<Int>] = []
    guard !bytes.isEmpty else { return result }
    try bytes.withUnsafeBufferPointer { text in
      try matches(in: text, 0..<text.count) { result.append($0..<$1) }
    }
    return result
  }
}
