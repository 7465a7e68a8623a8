extension Jinja {
  /// Python's `pprint.pformat` at its defaults: 80 columns, indent 1, keys in order.
  struct PrettyPrinter {
    let runtime: Runtime
    private let width = 80
    private var bytes: [UInt8] = []

    init(runtime: Runtime) { self.runtime = runtime }

    mutating func format(_ value: Value) throws -> Text {
      try write(value, indent: 0, allowance: 0)
      return Text(bytes)
    }

    private mutating func write(_ value: Value, indent: Int, allowance: Int) throws {
      let flat = try runtime.representation(sorted(value))
      try runtime.charge(bytes: flat.byteCount)
      try runtime.checkLength(bytes.count + flat.byteCount)
      guard flat.count > width - indent - allowance else { return bytes += flat.bytes }
      switch value {
      case .dict(let dict) where dict.count > 0: try write(dict, indent, allowance)
      case .list(let box) where !box.items.isEmpty: try group("[", "]", box.items, indent, allowance)
      case .tuple(let box) where !box.items.isEmpty:
        try group("(", box.items.count == 1 ? ",)" : ")", box.items, indent, allowance)
      case .text(let text) where !text.isMarkup && !text.isEmpty: try write(text, indent, allowance)
      default: bytes += flat.bytes
      }
    }

    /// `value` with the keys of its dictionaries in order, as pprint's own repr has them.
    private func sorted(_ value: Value) throws -> Value {
      try runtime.step()
      return switch value {
      case .list(let box): try .list(box.items.map { try sorted($0) })
      case .tuple(let box): try .tuple(box.items.map { try sorted($0) })
      case .dict(let dict): try sortedDict(dict)
      default: value
      }
    }

    private func sortedDict(_ dict: DictBox) throws -> Value {
      var builder = DictBuilder()
      for place in try order(of: dict) {
        try runtime.step()
        try builder.set(dict.keys[place], sorted(dict.values[place]))
      }
      return .dict(try builder.build())
    }

    /// Keys that cannot be compared go by the names of their types.
    private func order(of dict: DictBox) throws -> [Int] {
      try (0..<dict.count).sorted { a, b in
        do { return try runtime.isLess(dict.keys[a], dict.keys[b]) } catch let error as JinjaError where error.kind == .runtime {
          return dict.keys[a].typeName < dict.keys[b].typeName
        }
      }
    }

    private mutating func newline(_ indent: Int) { bytes.append("\n" + String(repeating: " ", count: indent)) }

    private mutating func group(_ open: String, _ close: String, _ items: [Value], _ indent: Int, _ allowance: Int) throws {
      bytes.append(open)
      for (index, item) in items.enumerated() {
        if index > 0 {
          bytes.append(",")
          newline(indent + 1)
        }
        try write(item, indent: indent + 1, allowance: index == items.count - 1 ? allowance + close.utf8.count : 1)
      }
      bytes.append(close)
    }

    private mutating func write(_ dict: DictBox, _ indent: Int, _ allowance: Int) throws {
      bytes.append("{")
      for (index, place) in try order(of: dict).enumerated() {
        if index > 0 {
          bytes.append(",")
          newline(indent + 1)
        }
        let key = try runtime.representation(sorted(dict.keys[place]))
        bytes += key.bytes
        bytes.append(": ")
        try write(dict.values[place], indent: indent + 1 + key.count + 2, allowance: index == dict.count - 1 ? allowance + 1 : 1)
      }
      bytes.append("}")
    }

    // MARK: Long strings

    private mutating func write(_ text: Text, _ indent: Int, _ allowance: Int) throws {
      let isOuter = bytes.isEmpty
      let indent = isOuter ? indent + 1 : indent
      let allowance = isOuter ? allowance + 1 : allowance
      let pieces = try pieces(of: text, indent, allowance)
      if pieces.count == 1 { return bytes += pieces[0].bytes }
      if isOuter { bytes.append("(") }
      for (index, piece) in pieces.enumerated() {
        if index > 0 { newline(indent) }
        bytes += piece.bytes
      }
      if isOuter { bytes.append(")") }
    }

    /// String literals that fit the width: whole lines, or runs of words.
    private func pieces(of text: Text, _ indent: Int, _ allowance: Int) throws -> [Text] {
      var pieces: [Text] = []
      let lines = text.lines(keepingEnds: true)
      for (index, line) in lines.enumerated() {
        let literal = quoted(line)
        let isLast = index == lines.count - 1
        if literal.count <= width - indent - (isLast ? allowance : 0) {
          pieces.append(literal)
          continue
        }
        let words = Self.words(of: line)
        var current = Text("")
        for (place, word) in words.enumerated() {
          try runtime.charge(bytes: current.byteCount)
          let candidate = Text(Array(current.bytes) + word.bytes)
          let room = width - indent - (isLast && place == words.count - 1 ? allowance : 0)
          if quoted(candidate).count > room {
            if !current.isEmpty { pieces.append(quoted(current)) }
            current = word
          } else {
            current = candidate
          }
        }
        if !current.isEmpty { pieces.append(quoted(current)) }
      }
      return pieces
    }

    private func quoted(_ text: Text) -> Text {
      var bytes: [UInt8] = []
      ReprWriter.quote(text, into: &bytes)
      return Text(bytes)
    }

    /// Each run of characters that are no white space, with the white space behind it.
    private static func words(of line: Text) -> [Text] {
      var words: [Text] = []
      var start = 0
      var place = 0
      var wasSpace = false
      while place < line.byteCount {
        let (scalar, length) = line.scalar(at: place)
        if wasSpace, !scalar.isPythonSpace {
          words.append(line.window(start..<place))
          start = place
        }
        wasSpace = scalar.isPythonSpace
        place += length
      }
      words.append(line.window(start..<line.byteCount))
      return words
    }
  }
}
