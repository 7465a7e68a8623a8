extension Jinja {
  /// Cuts a source into tokens, with `trim_blocks` and `lstrip_blocks` on and one trailing newline dropped.
  struct Lexer {
    let source: [Unicode.Scalar]
    var at = 0
    var line = 1
    var tokens: [Token] = []
    /// Whether the last match ended with a newline (or nothing was matched yet): what `lstrip_blocks` calls the start of a line.
    private var lineStarting = true
    private var brackets: [Operator] = []

    init(_ text: String) {
      var scalars: [Unicode.Scalar] = []
      scalars.reserveCapacity(text.utf8.count)
      var afterReturn = false
      for scalar in text.unicodeScalars {
        if scalar == "\n", afterReturn {
          afterReturn = false
          continue
        }
        afterReturn = scalar == "\r"
        scalars.append(afterReturn ? "\n" : scalar)
      }
      if scalars.last == "\n" { scalars.removeLast() }
      source = scalars
    }

    static func tokens(of text: String) throws -> [Token] {
      var lexer = Lexer(text)
      try lexer.root()
      lexer.tokens.append(Token(kind: .end, line: lexer.line))
      return lexer.tokens
    }

    func failure(_ message: String) -> JinjaError { JinjaError(.syntax, message, line: line) }

    // MARK: Looking at the source

    func matches(_ text: StaticString, at place: Int) -> Bool {
      let length = text.utf8CodeUnitCount
      guard place + length <= source.count else { return false }
      for i in 0..<length where source[place + i].value != UInt32(text.utf8Start[i]) { return false }
      return true
    }

    func skipSpace(from place: Int) -> Int {
      var place = place
      while place < source.count, source[place].isPythonSpace { place += 1 }
      return place
    }

    /// Moves to `place`, counting lines.
    mutating func advance(to place: Int) {
      guard place > at else { return }
      for i in at..<place where source[i] == "\n" { line += 1 }
      lineStarting = source[place - 1] == "\n"
      at = place
    }

    func text(_ range: Range<Int>) -> String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: source[range])
      return String(view)
    }

    // MARK: Text and the openings of tags

    private enum Tag { case variable, block, comment, raw(end: Int) }

    private mutating func root() throws {
      while at < source.count {
        var place = at
        var tag: Tag?
        while place < source.count {
          if source[place] == "{", let found = self.tag(at: place) {
            tag = found
            break
          }
          place += 1
        }
        guard let tag else {
          emitData(at..<source.count)
          advance(to: source.count)
          return
        }
        try open(tag, at: place)
      }
    }

    private func tag(at place: Int) -> Tag? {
      guard place + 1 < source.count else { return nil }
      switch source[place + 1] {
      case "{": return .variable
      case "#": return .comment
      case "%": return rawEnd(from: place).map { .raw(end: $0) } ?? .block
      default: return nil
      }
    }

    /// The end of `{% raw %}` that starts at `place`, or nil where this is another tag.
    private func rawEnd(from place: Int) -> Int? {
      var next = place + 2
      if next < source.count, source[next] == "-" || source[next] == "+" { next += 1 }
      next = skipSpace(from: next)
      guard matches("raw", at: next) else { return nil }
      next = skipSpace(from: next + 3)
      if matches("-%}", at: next) { return skipSpace(from: next + 3) }
      return matches("%}", at: next) ? next + 2 : nil
    }

    /// Emits the text before a tag that starts at `place`, stripped as the tag's sign says; returns the place after the sign.
    private mutating func emitText(before place: Int, strips: Bool) -> Int {
      let sign = place + 2 < source.count ? source[place + 2] : " "
      var end = place
      if sign == "-" {
        while end > at, source[end - 1].isPythonSpace { end -= 1 }
      } else if sign != "+", strips {
        var lineStart = place
        while lineStart > at, source[lineStart - 1] != "\n" { lineStart -= 1 }
        if lineStart > at || lineStarting, lineStart < place, skipSpace(from: lineStart) >= place { end = lineStart }
      }
      emitData(at..<end)
      return place + (sign == "-" || sign == "+" ? 3 : 2)
    }

    private mutating func emitData(_ range: Range<Int>) {
      if !range.isEmpty { tokens.append(Token(kind: .data(text(range)), line: line)) }
    }

    private mutating func open(_ tag: Tag, at place: Int) throws {
      var isVariable = false
      if case .variable = tag { isVariable = true }
      let inside = emitText(before: place, strips: !isVariable)
      switch tag {
      case .variable:
        advance(to: inside)
        tokens.append(Token(kind: .variableBegin, line: line))
        try code(closing: .variableEnd)
      case .block:
        advance(to: inside)
        tokens.append(Token(kind: .blockBegin, line: line))
        try code(closing: .blockEnd)
      case .comment:
        advance(to: inside)
        try comment()
      case .raw(let end):
        advance(to: end)
        try raw()
      }
    }

    private mutating func comment() throws {
      var place = at
      while place < source.count {
        if matches("+#}", at: place) { return advance(to: place + 3) }
        if matches("-#}", at: place) { return advance(to: skipSpace(from: place + 3)) }
        if matches("#}", at: place) { return advance(to: skipNewline(from: place + 2)) }
        place += 1
      }
      throw failure("Missing end of comment tag")
    }

    private func skipNewline(from place: Int) -> Int {
      place < source.count && source[place] == "\n" ? place + 1 : place
    }

    private mutating func raw() throws {
      var place = at
      while place < source.count {
        if source[place] == "{", matches("{%", at: place), let end = endRaw(from: place) {
          _ = emitText(before: place, strips: true)
          return advance(to: end)
        }
        place += 1
      }
      throw failure("Missing end of raw directive")
    }

    private func endRaw(from place: Int) -> Int? {
      var next = place + 2
      if next < source.count, source[next] == "-" || source[next] == "+" { next += 1 }
      next = skipSpace(from: next)
      guard matches("endraw", at: next) else { return nil }
      next = skipSpace(from: next + 6)
      return blockEnd(at: next)
    }

    /// The place after a block's closing that starts at `place`.
    private func blockEnd(at place: Int) -> Int? {
      if matches("%}", at: place) { return skipNewline(from: place + 2) }
      if matches("-%}", at: place) { return skipSpace(from: place + 3) }
      return matches("+%}", at: place) ? place + 3 : nil
    }

    private func variableEnd(at place: Int) -> Int? {
      if matches("}}", at: place) { return place + 2 }
      return matches("-}}", at: place) ? skipSpace(from: place + 3) : nil
    }

    // MARK: Code

    private mutating func code(closing: TokenKind) throws {
      brackets = []
      while at < source.count {
        let space = skipSpace(from: at)
        if brackets.isEmpty, space == at, let end = closing == .blockEnd ? blockEnd(at: at) : variableEnd(at: at) {
          tokens.append(Token(kind: closing, line: line))
          return advance(to: end)
        }
        if space > at {
          advance(to: space)
          continue
        }
        try codeToken()
      }
    }

    private mutating func codeToken() throws {
      let scalar = source[at]
      let start = line
      if scalar.isASCIIDigit {
        tokens.append(Token(kind: try number(), line: start))
      } else if scalar.isPythonWord {
        tokens.append(Token(kind: .name(try name()), line: start))
      } else if scalar == "'" || scalar == "\"" {
        tokens.append(Token(kind: .string(try string()), line: start))
      } else {
        let op = try operatorToken()
        tokens.append(Token(kind: .op(op), line: start))
      }
    }

    private mutating func name() throws -> String {
      var end = at
      while end < source.count, source[end].isPythonWord { end += 1 }
      guard source[at] == "_" || source[at].properties.isXIDStart, source[at..<end].allSatisfy({ $0.properties.isXIDContinue }) else {
        throw failure("Invalid character in identifier")
      }
      defer { advance(to: end) }
      return text(at..<end)
    }

    func unexpectedCharacter() -> JinjaError {
      let scalar = source[at]
      let shown =
        switch scalar {
        case "'": "\"'\""
        case "\\": "'\\\\'"
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
          "'\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16) + "'"
        default: "'\(scalar)'"
        }
      return failure("unexpected char \(shown) at \(at)")
    }

    private mutating func operatorToken() throws -> Operator {
      let next = at + 1 < source.count ? source[at + 1] : " "
      guard let op = Operator(source[at], next) ?? Operator(source[at], " ") else {
        throw unexpectedCharacter()
      }
      switch op {
      case .leftBrace: brackets.append(.rightBrace)
      case .leftParen: brackets.append(.rightParen)
      case .leftBracket: brackets.append(.rightBracket)
      case .rightBrace, .rightParen, .rightBracket:
        guard let expected = brackets.popLast() else { throw failure("unexpected '\(op.rawValue)'") }
        guard expected == op else { throw failure("unexpected '\(op.rawValue)', expected '\(expected.rawValue)'") }
      default: break
      }
      advance(to: at + op.rawValue.utf8.count)
      return op
    }
  }
}

extension Unicode.Scalar {
  /// Python's `str.isspace`.
  package var isPythonSpace: Bool {
    switch value {
    case 0x20, 0x09...0x0D, 0x1C...0x1F, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
  /// Python's `\w`.
  var isPythonWord: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: value >= 0x80 && (isPythonAlphanumeric || properties.isXIDContinue)
    }
  }
}
