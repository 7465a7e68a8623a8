/// The last step of encoding: adds the template's tokens. Named as in `tokenizer.json`.
indirect enum PostProcessor: Sendable {
  enum TemplatePart: Sendable {
    case sequence(Int, type: Int)
    case special(ids: [Int], tokens: [String], type: Int)
  }

  case template(single: [TemplatePart], pair: [TemplatePart])
  case byteLevel(addPrefixSpace: Bool, trimsOffsets: Bool)
  case bert(start: (String, Int), end: (String, Int))
  case roberta(start: (String, Int), end: (String, Int), addPrefixSpace: Bool, trimsOffsets: Bool)
  case sequence([PostProcessor])

  /// - Parameter detailed: whether the encodings have offsets and tokens.
  func apply(_ encodings: [Encoding], addSpecial: Bool, detailed: Bool) -> [Encoding] {
    var result = encodings
    switch self {
    case .template(let single, let pair):
      return Self.fill(encodings.count > 1 ? pair : single, encodings, addSpecial: addSpecial)
    case .byteLevel(let addPrefixSpace, let trimsOffsets):
      if trimsOffsets, detailed { for index in result.indices { result[index].trimOffsets(addPrefixSpace) } }
    case .bert(let start, let end):
      guard addSpecial else { return encodings }
      return encodings.enumerated().map { index, encoding in
        Self.wrap(
          encoding, index == 0 ? Encoding(id: start.1, token: start.0, type: 0) : nil, Encoding(id: end.1, token: end.0, type: index))
      }
    case .roberta(let start, let end, let addPrefixSpace, let trimsOffsets):
      for index in result.indices {
        if trimsOffsets, detailed { result[index].trimOffsets(addPrefixSpace) }
        result[index].setType(0)
      }
      guard addSpecial else { return result }
      let (start, end) = (Encoding(id: start.1, token: start.0, type: 0), Encoding(id: end.1, token: end.0, type: 0))
      return result.enumerated().map { Self.wrap($1, $0 == 0 ? start : end, end) }
    case .sequence(let steps):
      for step in steps { result = step.apply(result, addSpecial: addSpecial, detailed: detailed) }
    }
    return result
  }

  private static func wrap(_ encoding: Encoding, _ start: Encoding?, _ end: Encoding) -> Encoding {
    var result = start ?? Encoding()
    result.append(encoding)
    result.append(end)
    return result
  }

  private static func fill(_ template: [TemplatePart], _ encodings: [Encoding], addSpecial: Bool) -> [Encoding] {
    var result: [Encoding] = []
    for part in template {
      switch part {
      case .sequence(let index, let type):
        guard index < encodings.count else { continue }
        result.append(encodings[index])
        result[result.count - 1].setType(type)
      case .special(let ids, let tokens, let type):
        guard addSpecial else { continue }
        result += zip(ids, tokens).map { Encoding(id: $0, token: $1, type: type) }
      }
    }
    return result
  }
}

extension Encoding {
  /// Takes the white space that byte-level tokens hold out of their offsets.
  mutating func trimOffsets(_ addPrefixSpace: Bool) {
    for index in ids.indices {
      let token = tokens[index].unicodeScalars
      func isSpace(_ c: Unicode.Scalar) -> Bool { c.value == 0x120 || UnicodeTables.whitespaceSet.contains(c.value) }
      var leading = token.prefix(while: isSpace).count
      let trailing = token.reversed().prefix(while: isSpace).count
      var (start, end) = (offsets[index].lowerBound, offsets[index].upperBound)
      if leading > 0 {
        // One leading space of the first token is the one that was put there.
        if index == 0 || start == 0, addPrefixSpace, leading == 1 { leading = 0 }
        start = min(start + leading, end)
      }
      if trailing > 0, end >= trailing { end = max(end - trailing, start) }
      offsets[index] = start..<end
    }
  }
}
