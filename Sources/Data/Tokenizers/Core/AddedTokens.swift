/// A token that is found in the text before the model sees it.
struct AddedToken: Hashable, Sendable {
  var content: [UInt8]
  var id: Int
  var singleWord = false
  var stripsLeft = false
  var stripsRight = false
  var normalized = false
  var special = false
}

/// Added tokens and where they stand in a text.
struct AddedTokens: Sendable {
  private(set) var tokens: [AddedToken] = []
  private(set) var byID: [Int: Int] = [:]
  private var byContent: [[UInt8]: Int] = [:]
  private var plain = ByteTrie([])
  private var normalized = ByteTrie([])

  init() {}

  /// Takes tokens in file order. Ids follow the rules of Hugging Face: the model's where it knows the token, else the next free one.
  init(_ list: [AddedToken], model: (size: Int, id: ([UInt8]) -> Int?), normalizer: Normalizer?) throws {
    for var token in list where !token.content.isEmpty {
      if let known = byContent[token.content] {
        token.id = tokens[known].id
        tokens[known] = token
        continue
      }
      if let id = model.id(token.content) {
        token.id = id
      } else {
        let last = byID.keys.max() ?? -1
        token.id = last >= model.size || (model.size == 0 && last >= 0) ? last + 1 : model.size
      }
      insert(token)
    }
    try index(normalizer)
  }

  /// Takes tokens with the ids that they bring.
  init(exactly list: [AddedToken]) throws {
    for token in list where !token.content.isEmpty && byContent[token.content] == nil { insert(token) }
    try index(nil)
  }

  private mutating func insert(_ token: AddedToken) {
    byContent[token.content] = tokens.count
    byID[token.id] = tokens.count
    tokens.append(token)
  }

  private mutating func index(_ normalizer: Normalizer?) throws {
    var plain: [(key: ArraySlice<UInt8>, value: Int32)] = []
    var changed: [(key: ArraySlice<UInt8>, value: Int32)] = []
    for (index, token) in tokens.enumerated() {
      if token.normalized, let normalizer {
        var text = token.content.withUnsafeBufferPointer { NormalizedText($0, 0..<$0.count, tracked: false) }
        try normalizer.apply(&text)
        changed.append((ArraySlice(text.bytes), Int32(index)))
      } else if token.normalized {
        changed.append((ArraySlice(token.content), Int32(index)))
      } else {
        plain.append((ArraySlice(token.content), Int32(index)))
      }
    }
    // Special tokens come first where two normalise to the same text: the trie keeps the last.
    changed.sort { a, b in
      let (x, y) = (tokens[Int(a.value)].special, tokens[Int(b.value)].special)
      return x != y ? y : a.value > b.value
    }
    self.plain = ByteTrie(plain)
    normalized = ByteTrie(changed)
  }

  var hasNormalized: Bool { !normalized.isEmpty }

  func id(_ content: [UInt8]) -> Int? { byContent[content].map { tokens[$0].id } }

  func token(_ id: Int) -> AddedToken? { byID[id].map { tokens[$0] } }

  /// Cuts a text at the tokens that count in this pass: those of the text as it is, or those of the normalised text.
  /// - Parameter specialAsText: special tokens are text like any other.
  func split(_ text: Bytes, normalizedPass: Bool, specialAsText: Bool, _ body: (Range<Int>, AddedToken?) throws -> Void) rethrows {
    let trie = normalizedPass ? normalized : plain
    guard !trie.isEmpty else { return try body(0..<text.count, nil) }
    var done = 0
    var at = 0
    while at < text.count {
      guard trie.mayStart(text[at]) else {
        at += 1
        continue
      }
      var found: (end: Int, index: Int32)?
      trie.prefixes(text, at..<text.count) { found = ($0, $1) }
      guard let found else {
        at += 1
        continue
      }
      let start = at
      at = found.end
      let token = tokens[Int(found.index)]
      if specialAsText, token.special { continue }
      if token.singleWord, !standsAlone(text, start..<found.end) { continue }
      let from = token.stripsLeft ? max(leadingSpace(text, start), done) : start
      let to = token.stripsRight ? trailingSpace(text, found.end) : found.end
      if done < from { try body(done..<from, nil) }
      try body(from..<to, token)
      done = to
    }
    if done < text.count { try body(done..<text.count, nil) }
  }

  private func standsAlone(_ text: Bytes, _ range: Range<Int>) -> Bool {
    if range.lowerBound > 0 {
      let before = text.scalar(at: text.before(range.lowerBound, low: 0)).value
      if UnicodeTables.rustWordSet.contains(before) { return false }
    }
    return range.upperBound == text.count || !UnicodeTables.rustWordSet.contains(text.scalar(at: range.upperBound).value)
  }

  private func leadingSpace(_ text: Bytes, _ end: Int) -> Int {
    var at = end
    while at > 0 {
      let previous = text.before(at, low: 0)
      guard UnicodeTables.whitespaceSet.contains(text.scalar(at: previous).value) else { break }
      at = previous
    }
    return at
  }

  private func trailingSpace(_ text: Bytes, _ start: Int) -> Int {
    var at = start
    while at < text.count {
      let (c, next) = text.scalar(at: at)
      guard UnicodeTables.whitespaceSet.contains(c) else { break }
      at = next
    }
    return at
  }
}
