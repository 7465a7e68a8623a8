/// Longest match first within a word (BERT).
struct WordPieceModel: Sendable {
  let vocabulary: TokenTable
  let unknown: String
  let prefix: [UInt8]
  let characterLimit: Int
  private let starts: ByteTrie
  private let continuations: ByteTrie

  init(vocabulary: TokenTable, unknown: String, prefix: [UInt8], characterLimit: Int) {
    self.vocabulary = vocabulary
    self.unknown = unknown
    self.prefix = prefix
    self.characterLimit = characterLimit
    var starts: [(key: ArraySlice<UInt8>, value: Int32)] = []
    for id in 0..<vocabulary.idCount {
      if let token = vocabulary.token(id) { starts.append((token, Int32(id))) }
    }
    self.starts = ByteTrie(starts)
    continuations = ByteTrie(starts.filter { $0.key.starts(with: prefix) }.map { ($0.key.dropFirst(prefix.count), $0.value) })
  }

  func encode(_ text: Bytes, _ range: Range<Int>, _ run: inout TokenRun) throws {
    let characters = range.reduce(0) { $0 + (text[$1] & 0xC0 == 0x80 ? 0 : 1) }
    guard characters <= characterLimit, let path = split(text, range) else {
      guard let id = vocabulary.id(unknown) else {
        throw TokenizerError.encoding("the unknown token \"\(unknown)\" is not in the vocabulary")
      }
      return run.append(id, range.lowerBound, range.upperBound)
    }
    for (id, end, start) in path { run.append(id, start, end) }
  }

  /// The pieces of a word; nil where some part is no piece.
  private func split(_ text: Bytes, _ range: Range<Int>) -> [(id: Int32, end: Int, start: Int)]? {
    var path: [(id: Int32, end: Int, start: Int)] = []
    var at = range.lowerBound
    while at < range.upperBound {
      var found: (Int32, Int)?
      let trie = at == range.lowerBound ? starts : continuations
      trie.prefixes(text, at..<range.upperBound) { end, id in
        if end == range.upperBound || text[end] & 0xC0 != 0x80 { found = (id, end) }
      }
      guard let found else { return nil }
      path.append((found.0, found.1, at))
      at = found.1
    }
    return path
  }
}

/// One token per piece.
struct WordLevelModel: Sendable {
  let vocabulary: TokenTable
  let unknown: String

  func encode(_ text: Bytes, _ range: Range<Int>, _ run: inout TokenRun) throws {
    guard let id = vocabulary.id(Bytes(rebasing: text[range])) ?? vocabulary.id(unknown) else {
      throw TokenizerError.encoding("a word outside the vocabulary, and the unknown token \"\(unknown)\" is not in it")
    }
    run.append(id, range.lowerBound, range.upperBound)
  }
}

/// What turns pieces into tokens.
enum TokenModel: Sendable {
  case bpe(BPEModel)
  case unigram(UnigramModel)
  case wordPiece(WordPieceModel)
  case wordLevel(WordLevelModel)

  var vocabulary: TokenTable {
    switch self {
    case .bpe(let model): model.vocabulary
    case .unigram(let model): model.vocabulary
    case .wordPiece(let model): model.vocabulary
    case .wordLevel(let model): model.vocabulary
    }
  }

  /// Number of tokens as Hugging Face counts them: a Unigram vocabulary counts its lines.
  var size: Int {
    if case .unigram(let model) = self { model.scores.count } else { vocabulary.count }
  }
}
