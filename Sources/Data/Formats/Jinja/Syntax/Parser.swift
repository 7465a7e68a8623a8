extension Jinja {
  /// Recursive descent over the tokens; the grammar is jinja2's.
  struct Parser {
    let tokens: [Token]
    let limits: JinjaLimits
    var at = 0
    private var depth = 0
    private var openTags: [String] = []
    private var endings: [[String]] = []

    init(tokens: [Token], limits: JinjaLimits) {
      self.tokens = tokens
      self.limits = limits
    }

    static func parse(_ source: String, limits: JinjaLimits) throws -> [Syntax.Statement] {
      guard source.utf8.count <= limits.sourceBytes else {
        throw JinjaError(.limit, "the template is longer than \(limits.sourceBytes) bytes")
      }
      var parser = Parser(tokens: try Lexer.tokens(of: source), limits: limits)
      return try parser.statements(until: nil)
    }

    // MARK: Tokens

    var current: Token { tokens[at] }
    var next: Token { tokens[min(at + 1, tokens.count - 1)] }

    @discardableResult
    mutating func take() -> Token {
      defer { if at + 1 < tokens.count { at += 1 } }
      return tokens[at]
    }

    func failure(_ message: String, line: Int? = nil) -> JinjaError { JinjaError(.syntax, message, line: line ?? current.line) }

    func isOp(_ op: Operator) -> Bool { current.kind == .op(op) }
    func isName(_ name: String) -> Bool { current.isName(name) }

    mutating func skip(_ op: Operator) -> Bool {
      guard isOp(op) else { return false }
      take()
      return true
    }

    mutating func skip(name: String) -> Bool {
      guard isName(name) else { return false }
      take()
      return true
    }

    mutating func expect(_ kind: TokenKind) throws {
      let wanted = Token(kind: kind, line: 0).description
      guard current.kind == kind else {
        if current.kind == .end { throw failure("unexpected end of template, expected '\(wanted)'.") }
        throw failure("expected token '\(wanted)', got '\(current.description)'")
      }
      take()
    }

    mutating func expectName() throws -> String {
      guard case .name(let name) = current.kind else {
        if current.kind == .end { throw failure("unexpected end of template, expected 'name'.") }
        throw failure("expected token 'name', got '\(current.description)'")
      }
      take()
      return name
    }

    /// Runs `body` one level deeper; nesting is limited because everything after the parser recurses as deep.
    mutating func nested<Result>(_ body: (inout Parser) throws -> Result) throws -> Result {
      depth += 1
      defer { depth -= 1 }
      guard depth <= limits.nesting else { throw JinjaError(.limit, "nesting deeper than \(limits.nesting)", line: current.line) }
      return try body(&self)
    }

    // MARK: Bodies

    /// Parses until a tag named in `ends` (left as the current token), or to the end of the source.
    mutating func statements(until ends: [String]?) throws -> [Syntax.Statement] {
      var body: [Syntax.Statement] = []
      if let ends { endings.append(ends) }
      defer { if ends != nil { endings.removeLast() } }
      while true {
        let line = current.line
        switch current.kind {
        case .data(let text):
          take()
          body.append(.init(line: line, kind: .data(text)))
        case .variableBegin:
          take()
          body.append(.init(line: line, kind: .output(try tuple())))
          try expect(.variableEnd)
        case .blockBegin:
          take()
          if let ends, case .name(let name) = current.kind, ends.contains(name) { return body }
          body += try nested { try $0.statement() }
          try expect(.blockEnd)
        case .end:
          guard ends == nil else { throw unknownTag(nil) }
          return body
        default: throw failure("unexpected '\(current.description)'")
        }
      }
    }

    /// The body of a tag: closes the tag that is open, parses to one of `ends`, takes its name and returns it.
    mutating func body(_ ends: String...) throws -> (body: [Syntax.Statement], end: String) {
      _ = skip(.colon)
      try expect(.blockEnd)
      let body = try statements(until: ends)
      return (body, try expectName())
    }

    private mutating func statement() throws -> [Syntax.Statement] {
      guard case .name(let tag) = current.kind else { throw failure("tag name expected") }
      let line = current.line
      openTags.append(tag)
      defer { openTags.removeLast() }
      if tag == "print" { return try printStatement() }
      guard let kind = try statement(tag) else {
        openTags[openTags.count - 1] = ""
        throw unknownTag(tag)
      }
      return [.init(line: line, kind: kind)]
    }

    private func unknownTag(_ name: String?) -> JinjaError {
      var message = name.map { "Encountered unknown tag '\($0)'." } ?? "Unexpected end of template."
      if let wanted = endings.last {
        let list = wanted.map { "'\($0)'" }.joined(separator: " or ")
        message +=
          name.map { name in endings.contains { $0.contains(name) } } == true
          ? " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for \(list)."
          : " Jinja was looking for the following tags: \(list)."
      }
      if let open = openTags.last(where: { !$0.isEmpty }) { message += " The innermost block that needs to be closed is '\(open)'." }
      return failure(message)
    }
  }
}

extension Jinja.Token {
  func isName(_ wanted: String) -> Bool { if case .name(let name) = kind { name == wanted } else { false } }
}
