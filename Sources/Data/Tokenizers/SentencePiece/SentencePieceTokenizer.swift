/// Encodes and decodes as the SentencePiece library does with a `tokenizer.model`.
struct SentencePieceTokenizer: Sendable {
  let file: SentencePieceFile
  let normalizer: SentencePieceNormalizer
  /// Pieces that text can become.
  private let pieces: TokenTable
  /// Control, unknown and byte pieces.
  private let reserved: TokenTable
  private let byteIDs: [Int32]
  private let trie: ByteTrie
  private let userDefined: ByteTrie
  private let minScore: Float
  private let maxScore: Float
  /// For BPE: the place of each piece's score among all scores, best first.
  private let ranks: [UInt32]
  private let hasUnused: Bool
  /// No piece goes on with the mark after something else: words may be cut there.
  private let cutsAtMark: Bool
  /// Tokens that the configuration adds.
  let added: AddedTokens
  let template: PostProcessor

  init(_ file: SentencePieceFile, added: AddedTokens, template: PostProcessor) {
    self.file = file
    self.added = added
    self.template = template
    var pieces = TokenTable()
    var reserved = TokenTable()
    var userDefined: [(key: ArraySlice<UInt8>, value: Int32)] = []
    var searched: [(key: ArraySlice<UInt8>, value: Int32)] = []
    for (id, piece) in file.pieces.enumerated() {
      switch piece.type {
      case .normal, .userDefined, .unused:
        pieces.insert(piece.text, id: id)
        searched.append((piece.text[...], Int32(id)))
        if piece.type == .userDefined { userDefined.append((piece.text[...], Int32(id))) }
      case .unknown, .control, .byte: reserved.insert(piece.text, id: id)
      }
    }
    self.pieces = pieces
    self.reserved = reserved
    byteIDs = (0..<256).map { reserved.id(SentencePieceFile.bytePiece(UInt8($0))) ?? Int32(file.unknownID) }
    trie = ByteTrie(file.kind == .unigram ? searched : [])
    self.userDefined = ByteTrie(userDefined)
    let scores = file.pieces.filter { $0.type == .normal }.map(\.score)
    minScore = scores.min() ?? .greatestFiniteMagnitude
    maxScore = max(scores.max() ?? 0, .leastNormalMagnitude)
    let order = Set(file.pieces.map(\.score)).sorted(by: >)
    let places = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, UInt32($0)) })
    ranks = file.pieces.map { places[$0.score] ?? 0 }
    hasUnused = file.pieces.contains { $0.type == .unused }
    cutsAtMark = pieces.id(BPEModel.mark) != nil && searched.allSatisfy { !BPEModel.hasInnerMark($0.key) }
    normalizer = SentencePieceNormalizer(rules: file.normalization, kept: self.userDefined)
  }

  var vocabularySize: Int { file.pieces.count + added.tokens.count { $0.id >= file.pieces.count } }

  func id(_ token: [UInt8]) -> Int? { added.id(token) ?? (reserved.id(token) ?? pieces.id(token)).map(Int.init) }

  func token(_ id: Int) -> ArraySlice<UInt8>? {
    if let token = added.token(id) { return token.content[...] }
    return file.pieces.indices.contains(id) ? file.pieces[id].text[...] : nil
  }

  func encode(_ text: Bytes, asText: Bool, detailed: Bool, _ workspace: inout Workspace) throws -> Encoding {
    var buffer = PieceBuffer(tracked: detailed)
    var run = TokenRun(detailed: detailed)
    added.split(text, normalizedPass: false, specialAsText: asText) { range, token in
      guard !range.isEmpty else { return }
      let start = buffer.bytes.count
      if let token {
        buffer.append(NormalizedText(text, range, tracked: detailed))
        return run.append(Int32(token.id), start, buffer.bytes.count)
      }
      let part = normalizer.apply(text, range, tracked: detailed)
      buffer.append(part)
      part.bytes.withUnsafeBufferPointer { tokenize($0, at: start, &workspace, &run) }
    }
    var encoding = Encoding()
    encoding.ids = run.ids.map(Int.init)
    if detailed { addDetails(to: &encoding, run, buffer, text) }
    return encoding
  }

  private func addDetails(to encoding: inout Encoding, _ run: TokenRun, _ buffer: PieceBuffer, _ text: Bytes) {
    let places = CodePoints(text)
    for (id, range) in zip(run.ids, run.ranges) {
      let isEmpty = range.end <= range.start
      let start = isEmpty ? 0 : Int(buffer.spans[Int(range.start)].start)
      let end = isEmpty ? 0 : Int(buffer.spans[Int(range.end) - 1].end)
      encoding.offsets.append(places.range(start, end))
      let isUnknown = Int(id) == file.unknownID
      let token = isUnknown ? buffer.bytes[Int(range.start)..<Int(range.end)] : token(Int(id)) ?? []
      encoding.tokens.append(String(decoding: token, as: UTF8.self))
      encoding.isTemplate.append(false)
    }
  }

  /// Tokenizes normalised text that stands at `base` of the buffer.
  private func tokenize(_ text: Bytes, at base: Int, _ workspace: inout Workspace, _ run: inout TokenRun) {
    var output = Output(file: file, byteIDs: byteIDs, base: base)
    switch file.kind {
    case .unigram: viterbi(text, &workspace, &output, &run)
    case .bpe where cutsAtMark:
      forEachWord(in: text) { bpe(text, $0, &workspace, &output, &run) }
    case .bpe: bpe(text, 0..<text.count, &workspace, &output, &run)
    case .char:
      var at = 0
      while at < text.count {
        let (end, _) = symbol(text, at)
        output.append(pieceID(text, at..<end), text, at..<end, &run)
        at = end
      }
    case .word:
      forEachWord(in: text) { output.append(pieceID(text, $0), text, $0, &run) }
    }
  }

  /// Cuts before each run of marks.
  private func forEachWord(in text: Bytes, _ body: (Range<Int>) -> Void) {
    var start = 0
    var at = 0
    var inMarks = false
    while at < text.count {
      let isMark = text[at] == 0xE2 && at + 2 < text.count && text[at + 1] == 0x96 && text[at + 2] == 0x81
      if isMark, !inMarks || file.kind == .word, at > start {
        body(start..<at)
        start = at
      }
      inMarks = isMark
      at += isMark ? 3 : Bytes.width(text[at])
    }
    if start < text.count { body(start..<text.count) }
  }

  /// A user-defined piece or one scalar.
  @inline(__always)
  private func symbol(_ text: Bytes, _ at: Int) -> (end: Int, isFrozen: Bool) {
    if !userDefined.isEmpty, userDefined.mayStart(text[at]) {
      var end = 0
      userDefined.prefixes(text, at..<text.count) { found, _ in end = found }
      if end > 0 { return (end, true) }
    }
    return (at + Bytes.width(text[at]), false)
  }

  private func pieceID(_ text: Bytes, _ range: Range<Int>) -> Int32 {
    let bytes = Bytes(rebasing: text[range])
    return reserved.id(bytes) ?? pieces.id(bytes) ?? Int32(file.unknownID)
  }

  private func viterbi(_ text: Bytes, _ workspace: inout Workspace, _ output: inout Output, _ run: inout TokenRun) {
    let unknownScore = Double(minScore - 10)
    workspace.viterbi.solve(text, 0..<text.count, trie, unknownID: Int32(file.unknownID)) { id, length in
      let piece = file.pieces[Int(id)]
      return switch piece.type {
      case .unused: nil
      case .userDefined: Double(Float(length) * maxScore) - 0.1
      default: Double(piece.score)
      }
    } unknown: {
      unknownScore
    } rounded: {
      // The library keeps sums in single precision.
      Double(Float($0))
    }
    for node in workspace.viterbi.path { output.append(node.id, text, Int(node.start)..<Int(node.end), &run) }
  }

  private func bpe(_ text: Bytes, _ range: Range<Int>, _ workspace: inout Workspace, _ output: inout Output, _ run: inout TokenRun) {
    // An unknown piece joins one before it, so only words without any are remembered.
    let isCached = cutsAtMark && !run.detailed && range.count <= WordCache.wordLimit
    let word = Bytes(rebasing: text[range])
    let key = isCached ? hash(word) : 0
    if isCached, workspace.cache.copy(word, key, to: &run) { return output.forget() }
    let start = run.ids.count
    workspace.merger.clear()
    var at = range.lowerBound
    while at < range.upperBound {
      let (end, isFrozen) = symbol(text, at)
      workspace.merger.add(isFrozen ? 1 : 0, at, end)
      at = end
    }
    var splits: [[UInt8]: Int] = [:]
    workspace.merger.merge { left, right in
      guard left.id == 0, right.id == 0 else { return (.max, 0) }
      guard let id = pieces.id(Bytes(rebasing: text[Int(left.start)..<Int(right.end)])) else { return (.max, 0) }
      if hasUnused, file.pieces[Int(id)].type == .unused {
        splits[Array(text[Int(left.start)..<Int(right.end)])] = Int(left.end - left.start)
      }
      return (ranks[Int(id)], 0)
    }
    for symbol in workspace.merger.symbols {
      emit(text, Int(symbol.start)..<Int(symbol.end), splits, &output, &run)
    }
    if isCached, !run.ids[start...].contains(Int32(file.unknownID)) { workspace.cache.insert(word, key, run.ids[start...]) }
  }

  /// A piece, or the parts from which an unused piece was merged.
  private func emit(_ text: Bytes, _ range: Range<Int>, _ splits: [[UInt8]: Int], _ output: inout Output, _ run: inout TokenRun) {
    let id = pieceID(text, range)
    if hasUnused, file.pieces[Int(id)].type == .unused, let length = splits[Array(text[range])] {
      emit(text, range.lowerBound..<range.lowerBound + length, splits, &output, &run)
      emit(text, range.lowerBound + length..<range.upperBound, splits, &output, &run)
      return
    }
    output.append(id, text, range, &run)
  }

  /// Joins neighbouring unknown pieces, or writes them as bytes.
  private struct Output {
    let file: SentencePieceFile
    let byteIDs: [Int32]
    let base: Int
    private var lastIsUnknown = false

    init(file: SentencePieceFile, byteIDs: [Int32], base: Int) {
      self.file = file
      self.byteIDs = byteIDs
      self.base = base
    }

    mutating func forget() { lastIsUnknown = false }

    @inline(__always)
    mutating func append(_ id: Int32, _ text: Bytes, _ range: Range<Int>, _ run: inout TokenRun) {
      let isUnknown = Int(id) == file.unknownID
      if isUnknown, file.byteFallback {
        for at in range { run.append(byteIDs[Int(text[at])], base + range.lowerBound, base + range.upperBound) }
      } else if isUnknown, lastIsUnknown {
        run.extendLast(base + range.upperBound)
      } else {
        run.append(id, base + range.lowerBound, base + range.upperBound)
      }
      lastIsUnknown = isUnknown
    }
  }
}
