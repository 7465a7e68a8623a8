import Yams

extension YAMLDocument {
  /// Parses one document; see the type for what is allowed. Time and memory are linear in the text.
  /// - Throws: `YAMLError` with line and column.
  public init(parsing text: String) throws(YAMLError) {
    guard text.utf8.count <= Self.sizeLimit else {
      throw YAMLError(line: 1, column: 1, message: "\(text.utf8.count) bytes; at most \(Self.sizeLimit) are read")
    }
    try Self.refuseBombs(text)
    let root = try Self.compose(text)
    guard let root else {
      value = .null
      marks = YAMLMarks(line: 1, column: 1)
      return
    }
    var builder = YAMLBuilder()
    (value, marks) = try builder.build(root.node, at: Place(root.node.mark) ?? Place(line: 1, column: 1))
    withExtendedLifetime(root.parser) {}
  }

  /// The tree, and the parser that must outlive it (nodes hold their anchors weakly).
  private static func compose(_ text: String) throws(YAMLError) -> (node: Node, parser: Parser)? {
    do {
      let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
      return try parser.singleRoot().map { ($0, parser) }
    } catch let error as YamlError {
      throw YAMLError(error, in: text)
    } catch {
      throw YAMLError(line: 1, column: 1, message: "not YAML: \(error)")
    }
  }

  /// Before libyaml and Yams see the text: what would make them take time or memory beyond the text's length. Aliases multiply, nested
  /// explicit keys are hashed once a level. A few of either pass here and are refused later with their place.
  private static func refuseBombs(_ text: String) throws(YAMLError) {
    let limit = 8
    var anchors: Set<String> = []
    var aliases: [String] = []
    var explicitKeys = 0
    let bytes = Array(text.utf8)
    for (place, byte) in bytes.enumerated() {
      switch byte {
      case UInt8(ascii: "&"): anchors.insert(word(in: bytes, from: place + 1))
      case UInt8(ascii: "*"): aliases.append(word(in: bytes, from: place + 1))
      case UInt8(ascii: "?"):
        let next = place + 1 < bytes.count ? bytes[place + 1] : 0x0A
        if next <= 0x20 || next >= 0x80, place == 0 || !isWord(bytes[place - 1]) { explicitKeys += 1 }
      default: break
      }
    }
    let used = aliases.filter { !$0.isEmpty && anchors.contains($0) }
    if used.count > limit {
      throw YAMLError(line: 1, column: 1, message: "aliases (*\(used[0].prefix(40)), and more) are not allowed: write the value out")
    }
    if explicitKeys > limit * 32 {
      throw YAMLError(line: 1, column: 1, message: "explicit keys ('? ') are not allowed: write 'key: value'")
    }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private static func word(in bytes: [UInt8], from start: Int) -> String {
    String(decoding: bytes[start...].prefix { isWord($0) }, as: UTF8.self)
  }
}

extension YAMLError {
  fileprivate init(_ error: YamlError, in text: String) {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let context = context.map { "\($0.text.trimmed) " } ?? ""
      self.init(line: mark.line, column: mark.column, message: context + problem)
    case .reader(let problem, let offset, _, _):
      let before = text.utf8.prefix(max(0, offset ?? 0))
      let line = 1 + before.count { $0 == 0x0A }
      let column = 1 + before.reversed().prefix { $0 != 0x0A }.count
      self.init(line: line, column: column, message: problem)
    case .duplicatedKeysInMapping(let duplicates, let context):
      let names = duplicates.map { "\"\($0)\"" }.joined(separator: ", ")
      self.init(line: context.mark.line, column: context.mark.column, message: "the key \(names) stands twice in one mapping")
    default: self.init(line: 1, column: 1, message: "not YAML: \(error)")
    }
  }
}

extension String {
  fileprivate var trimmed: Substring { self[...].prefix { !$0.isNewline } }
}

/// Yams' `Mark`, which cannot be made outside Yams.
private struct Place {
  let line: Int
  let column: Int

  init(line: Int, column: Int) { (self.line, self.column) = (line, column) }
  init?(_ mark: Mark?) {
    guard let mark else { return nil }
    self.init(line: mark.line, column: mark.column)
  }
}

/// Turns Yams nodes into values and marks.
private struct YAMLBuilder {
  var depth = 0

  mutating func build(_ node: Node, at mark: Place) throws(YAMLError) -> (JSON, YAMLMarks) {
    if let anchor = node.anchor { throw error(mark, "an anchor (&\(anchor)) is not allowed: write the value out where it is needed") }
    depth += 1
    defer { depth -= 1 }
    guard depth <= YAMLDocument.depthLimit else { throw error(mark, "nesting deeper than \(YAMLDocument.depthLimit)") }
    switch node {
    case .alias: throw error(mark, "an alias is not allowed: write the value out")
    case .scalar(let scalar): return (try value(of: scalar, at: mark), YAMLMarks(line: mark.line, column: mark.column))
    case .sequence(let sequence):
      try refuseTag(sequence.tag, at: mark)
      return try build(sequence, at: mark)
    case .mapping(let mapping):
      try refuseTag(mapping.tag, at: mark)
      return try build(mapping, at: mark)
    }
  }

  private mutating func build(_ sequence: Node.Sequence, at mark: Place) throws(YAMLError) -> (JSON, YAMLMarks) {
    var marks = YAMLMarks(line: mark.line, column: mark.column)
    var elements: [JSON] = []
    for node in sequence {
      let (value, place) = try build(node, at: Place(node.mark) ?? mark)
      elements.append(value)
      marks.elements.append(place)
    }
    return (.array(elements), marks)
  }

  private mutating func build(_ mapping: Node.Mapping, at mark: Place) throws(YAMLError) -> (JSON, YAMLMarks) {
    var marks = YAMLMarks(line: mark.line, column: mark.column)
    var object = JSONObject()
    for (keyNode, node) in mapping {
      let place = Place(keyNode.mark) ?? mark
      let key = try key(keyNode, at: place)
      var (value, inner) = try build(node, at: Place(node.mark) ?? place)
      (inner.line, inner.column) = (place.line, place.column)
      guard object.append(key, value) else { throw error(place, "the key \"\(key)\" stands twice in one mapping") }
      marks.members[ExactString(key)] = inner
    }
    return (.object(object), marks)
  }

  private func key(_ node: Node, at mark: Place) throws(YAMLError) -> String {
    if let anchor = node.anchor { throw error(mark, "an anchor (&\(anchor)) is not allowed") }
    guard case .scalar(let scalar) = node else { throw error(mark, "a key must be a string, not a mapping or sequence") }
    guard scalar.style == .plain else { return scalar.string }
    if scalar.string == "<<" { throw error(mark, "merge keys (<<) are not allowed: write the values out") }
    let value = try YAMLScalar.plain(scalar.string, line: mark.line, column: mark.column)
    guard case .string(let text) = value else {
      throw error(
        mark, "the key \(scalar.string.isEmpty ? "(empty)" : scalar.string) is \(value.kind), want a string: put it in quotation marks")
    }
    return text
  }

  private func value(of scalar: Node.Scalar, at mark: Place) throws(YAMLError) -> JSON {
    if scalar.style == .plain {
      try refuseTag(scalar.tag, at: mark)
      return try YAMLScalar.plain(scalar.string, line: mark.line, column: mark.column)
    }
    guard scalar.tag.description == Tag.Name.implicit.rawValue || scalar.tag.description == Tag.Name.str.rawValue else {
      throw error(mark, "a tag (\(scalar.tag)) is not allowed")
    }
    return .string(scalar.string)
  }

  private func refuseTag(_ tag: Tag, at mark: Place) throws(YAMLError) {
    guard tag.description == Tag.Name.implicit.rawValue else { throw error(mark, "a tag (\(tag)) is not allowed") }
  }

  private func error(_ mark: Place, _ message: String) -> YAMLError {
    YAMLError(line: mark.line, column: mark.column, message: message)
  }
}
