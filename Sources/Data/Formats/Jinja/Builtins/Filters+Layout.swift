extension Jinja.Builtins {
  static let layoutFilters: [String: Filter] = [
    "indent": { value, arguments, runtime in
      let bound = try arguments.bind("indent", ["width", "first", "blank"])
      return .text(
        try indented(
          value.addable("indent"), width: bound[0] ?? .int(4), first: bound[1]?.isTrue ?? false, blank: bound[2]?.isTrue ?? false, runtime))
    },
    "center": { value, arguments, runtime in
      let width = try arguments.bind("center", ["width"])[0]?.expectInt("center") ?? 80
      return .text(
        try Jinja.StringMethods.pad(runtime.text(of: value), to: width, Text(" "), runtime, before: Jinja.StringMethods.centred))
    },
    "truncate": { value, arguments, runtime in
      let bound = try arguments.bind("truncate", ["length", "killwords", "end", "leeway"])
      return try truncated(
        value, length: bound[0]?.expectInt("truncate") ?? 255, killsWords: bound[1]?.isTrue ?? false,
        end: bound[2]?.expectText("truncate") ?? Text("..."),
        leeway: bound[3].flatMap { $0.isNone ? nil : try $0.expectInt("truncate") } ?? 5, runtime)
    },
    "wordwrap": { value, arguments, runtime in
      let bound = try arguments.bind("wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"])
      let wrapper = Jinja.TextWrapper(
        runtime: runtime, width: try bound[0]?.expectInt("wordwrap") ?? 79, breaksLongWords: bound[1]?.isTrue ?? true,
        breaksOnHyphens: bound[3]?.isTrue ?? true)
      let separator = try bound[2].flatMap { $0.isNone ? nil : try $0.expectText("wordwrap") } ?? Text("\n")
      let lines = try value.addable("wordwrap").plain.lines(keepingEnds: false)
      let wrapped = try lines.map { try Value.text(runtime.join(wrapper.wrap($0).map { .text($0) }, separator: separator, strict: true)) }
      return .text(try runtime.join(wrapped, separator: separator, strict: true))
    },
    "filesizeformat": { value, arguments, runtime in
      let isBinary = try arguments.bind("filesizeformat", ["binary"])[0]?.isTrue ?? false
      return Value(try fileSize(float(value, runtime), isBinary: isBinary))
    },
  ]

  private static func indented(_ text: Text, width: Value, first: Bool, blank: Bool, _ runtime: Runtime) throws -> Text {
    let indent: Text
    if case .text(let text) = width {
      indent = text
    } else {
      let count = max(try width.expectInt("indent"), 0)
      try runtime.reserve(bytes: count)
      indent = Text(Array(repeating: UInt8(ascii: " "), count: count))
    }
    try runtime.charge(bytes: text.byteCount)
    // As in jinja2 the text gets a newline first, so that a newline at its end stays.
    let lines = text.appending(Text("\n")).lines(keepingEnds: false)
    try runtime.charge(steps: lines.count / 4)
    var out: [UInt8] = first ? Array(indent.bytes) : []
    for (number, line) in lines.enumerated() {
      if number > 0 {
        out.append("\n")
        if blank || !line.isEmpty {
          try runtime.charge(bytes: indent.byteCount)
          out += indent.bytes
        }
      }
      out += line.bytes
      try runtime.checkLength(out.count)
    }
    return Text(out, isMarkup: text.isMarkup)
  }

  private static func truncated(
    _ value: Value, length: Int, killsWords: Bool, end: Text, leeway: Int, _ runtime: Runtime
  ) throws -> Value {
    guard length >= end.count else { throw JinjaError.runtime("expected length >= \(end.count), got \(length)") }
    guard leeway >= 0 else { throw JinjaError.runtime("expected leeway >= 0, got \(leeway)") }
    let count = try runtime.length(value)
    let (limit, overflow) = length.addingReportingOverflow(leeway)
    if overflow || count <= limit { return value }
    guard case .text(let text) = try runtime.slice(value, nil, .int(length - end.count), nil) else {
      throw JinjaError.runtime("truncate wants a string, not \(value.typeName)")
    }
    let kept = killsWords ? text : text.splitFromRight(by: Text(" "), limit: 1)[0]
    return try runtime.arithmetic(.text(kept), .add, .text(end))
  }

  private static func fileSize(_ bytes: Double, isBinary: Bool) throws -> String {
    let base = isBinary ? 1024.0 : 1000.0
    if bytes == 1 { return "1 Byte" }
    if bytes < base {
      guard bytes.isFinite, let whole = Int(exactly: bytes.rounded(.towardZero)) else { throw Runtime.integerOverflow }
      return "\(whole) Bytes"
    }
    var unit = base
    var text = ""
    for prefix in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
      unit *= base
      let name = isBinary ? (prefix == "k" ? "K" : prefix) + "iB" : prefix + "B"
      text = Jinja.PythonFloat.formatted(base * bytes / unit, "f", precision: 1) + " " + name
      if bytes < unit { break }
    }
    return text
  }
}

extension Jinja.Value {
  /// A string, or the error of an operation that only strings have.
  func addable(_ filter: String) throws -> Text {
    switch self {
    case .text(let text): return text
    case .undefined(let undefined): throw undefined.error
    default: throw JinjaError.runtime("\(filter) wants a string, not \(typeName)")
    }
  }
}

extension Jinja {
  /// Python's `textwrap.wrap` without its treatment of white space inside lines.
  struct TextWrapper {
    let runtime: Runtime
    let width: Int
    let breaksLongWords: Bool
    let breaksOnHyphens: Bool

    func wrap(_ line: Text) throws -> [Text] {
      guard width > 0 else { throw JinjaError.runtime("invalid width \(width) (must be > 0)") }
      try runtime.charge(bytes: 16 * line.byteCount)
      var chunks = Array(chunks(of: Array(line.scalars)[...]).reversed())
      var lines: [Text] = []
      while !chunks.isEmpty {
        var current: [ArraySlice<Unicode.Scalar>] = []
        var length = 0
        if !lines.isEmpty, let last = chunks.last, last.allSatisfy(\.isPythonSpace) { chunks.removeLast() }
        while let last = chunks.last, length + last.count <= width {
          current.append(last)
          length += last.count
          chunks.removeLast()
        }
        if let last = chunks.last, last.count > width { placeLongWord(&chunks, &current, length) }
        if let last = current.last, last.allSatisfy(\.isPythonSpace) { current.removeLast() }
        if !current.isEmpty { lines.append(Text(current.joined())) }
      }
      return lines
    }

    private func placeLongWord(_ chunks: inout [ArraySlice<Unicode.Scalar>], _ current: inout [ArraySlice<Unicode.Scalar>], _ length: Int) {
      let room = width - length
      guard breaksLongWords, let chunk = chunks.last else {
        if current.isEmpty, let chunk = chunks.popLast() { current.append(chunk) }
        return
      }
      var end = chunk.startIndex + room
      if breaksOnHyphens, chunk.count > room, let hyphen = chunk.prefix(room).lastIndex(of: "-"), hyphen > chunk.startIndex,
        chunk[..<hyphen].contains(where: { $0 != "-" })
      {
        end = hyphen + 1
      }
      current.append(chunk[..<end])
      chunks[chunks.count - 1] = chunk[end...]
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      switch scalar {
      case "\t", "\n", "\u{0B}", "\u{0C}", "\r", " ": true
      default: false
      }
    }

    /// Runs of white space and the pieces of words between them.
    private func chunks(of line: ArraySlice<Unicode.Scalar>) -> [ArraySlice<Unicode.Scalar>] {
      var chunks: [ArraySlice<Unicode.Scalar>] = []
      var at = 0
      while at < line.count {
        var end = at
        let isSpace = Self.isSpace(line[at])
        while end < line.count, Self.isSpace(line[end]) == isSpace { end += 1 }
        if isSpace || !breaksOnHyphens {
          chunks.append(line[at..<end])
        } else {
          chunks += pieces(of: Array(line[at..<end]))
        }
        at = end
      }
      return chunks
    }

    /// A word cut behind hyphens between letters, and around dashes of two hyphens or more.
    private func pieces(of word: [Unicode.Scalar]) -> [ArraySlice<Unicode.Scalar>] {
      var pieces: [ArraySlice<Unicode.Scalar>] = []
      var start = 0
      while start < word.count {
        var end = dashEnd(in: word, at: start) ?? start + 1
        if dashEnd(in: word, at: start) == nil {
          while end < word.count, dashEnd(in: word, at: end) == nil {
            end += 1
            if word[end - 1] == "-", isHyphen(in: word, at: end - 1) { break }
          }
        }
        pieces.append(word[start..<end])
        start = end
      }
      return pieces
    }

    /// The end of a dash that starts here, between parts of words.
    private func dashEnd(in word: [Unicode.Scalar], at place: Int) -> Int? {
      guard place > 0, word[place] == "-", word[place - 1].isPythonWord || "!\"'&.,?".unicodeScalars.contains(word[place - 1]) else {
        return nil
      }
      var end = place
      while end < word.count, word[end] == "-" { end += 1 }
      return end - place >= 2 && end < word.count && word[end].isPythonWord ? end : nil
    }

    /// Whether a line may break behind the hyphen at `place`: two letters before it and after it, with at most a hyphen among them.
    private func isHyphen(in word: [Unicode.Scalar], at place: Int) -> Bool {
      let isLetter = { (place: Int) in
        word.indices.contains(place) && (word[place].isPythonWord && word[place].properties.numericType != .decimal)
      }
      let isPart = { (place: Int) in
        word.indices.contains(place) && (word[place].isPythonWord || "!\"'&.,?".unicodeScalars.contains(word[place]))
      }
      let isHyphenAt = { (place: Int) in word.indices.contains(place) && word[place] == "-" }
      let before = isLetter(place - 1) && isLetter(place - 2) || isPart(place - 1) && isHyphenAt(place - 2) && isLetter(place - 3)
      let after = isLetter(place + 1) && (isLetter(place + 2) || isHyphenAt(place + 2) && isLetter(place + 3))
      return before && after
    }
  }
}
