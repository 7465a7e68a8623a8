/// The most probable split into pieces of a vocabulary (Kudo 2018), found by Viterbi's algorithm.
struct UnigramModel: Sendable {
  let vocabulary: TokenTable
  let scores: [Double]
  let unknownID: Int32?
  let byteTokens: [Int32]?
  private let trie: ByteTrie
  private let unknownScore: Double

  init(vocabulary: TokenTable, pieces: [(piece: ArraySlice<UInt8>, score: Double)], unknownID: Int32?, byteFallback: Bool) {
    self.vocabulary = vocabulary
    self.unknownID = unknownID
    byteTokens = byteFallback ? BPEModel.byteTokens(of: vocabulary) : nil
    scores = pieces.map(\.score)
    trie = ByteTrie(pieces.enumerated().map { ($1.piece, Int32($0)) })
    unknownScore = (scores.min() ?? 0) - 10
  }

  func encode(_ text: Bytes, _ range: Range<Int>, _ workspace: inout Workspace, _ run: inout TokenRun) throws {
    guard !run.detailed, range.count <= WordCache.wordLimit else { return try compute(text, range, &workspace, &run) }
    let word = Bytes(rebasing: text[range])
    let key = hash(word)
    if workspace.cache.copy(word, key, to: &run) { return }
    let start = run.ids.count
    try compute(text, range, &workspace, &run)
    workspace.cache.insert(word, key, run.ids[start...])
  }

  private func compute(_ text: Bytes, _ range: Range<Int>, _ workspace: inout Workspace, _ run: inout TokenRun) throws {
    workspace.viterbi.solve(text, range, trie, unknownID: unknownID ?? -1) { id, _ in
      scores[Int(id)]
    } unknown: {
      unknownScore
    } rounded: {
      $0
    }
    var unknownStart = -1
    for node in workspace.viterbi.path {
      if node.id == unknownID ?? -1 {
        if unknownStart < 0 { unknownStart = Int(node.start) }
        continue
      }
      if unknownStart >= 0 { try unknown(text, unknownStart..<Int(node.start), &run) }
      unknownStart = -1
      run.append(node.id, Int(node.start), Int(node.end))
    }
    if unknownStart >= 0 { try unknown(text, unknownStart..<range.upperBound, &run) }
  }

  /// Neighbouring unknown characters are one token, or their bytes.
  private func unknown(_ text: Bytes, _ range: Range<Int>, _ run: inout TokenRun) throws {
    if let id = vocabulary.id(Bytes(rebasing: text[range])) { return run.append(id, range.lowerBound, range.upperBound) }
    if let byteTokens, range.allSatisfy({ byteTokens[Int(text[$0])] >= 0 }) {
      for at in range { run.append(byteTokens[Int(text[at])], range.lowerBound, range.upperBound) }
      return
    }
    guard let unknownID else { throw TokenizerError.encoding("the text has characters outside the vocabulary, and there is no unk_id") }
    run.append(unknownID, range.lowerBound, range.upperBound)
  }
}

/// The best path through the pieces of a text.
struct ViterbiPath {
  struct Node {
    var id: Int32
    var start: Int32
    var end: Int32
  }

  private struct Best {
    var score: Double
    var id: Int32
    var start: Int32
  }

  private var best: [Best] = []
  private(set) var path: [Node] = []

  /// Finds the path with the highest sum of scores; of equals the one found first, going from left to right.
  /// - Parameters:
  ///   - score: of a piece, given its id and its length in bytes; nil for a piece that is not to be used.
  ///   - unknown: score of a character that is no piece.
  ///   - rounded: how sums are kept.
  @inline(__always)
  mutating func solve(
    _ text: Bytes, _ range: Range<Int>, _ trie: ByteTrie, unknownID: Int32, score: (Int32, Int) -> Double?, unknown: () -> Double,
    rounded: (Double) -> Double
  ) {
    let base = range.lowerBound
    best.removeAll(keepingCapacity: true)
    best.append(contentsOf: repeatElement(Best(score: 0, id: -1, start: -1), count: range.count + 1))
    func offer(_ id: Int32, _ start: Int, _ end: Int, _ score: Double) {
      if best[end - base].start < 0 || score > best[end - base].score {
        best[end - base] = Best(score: rounded(score), id: id, start: Int32(truncatingIfNeeded: start))
      }
    }
    var at = base
    while at < range.upperBound {
      let till = best[at - base].score
      let next = at + Bytes.width(text[at])
      var isKnown = false
      trie.prefixes(text, at..<range.upperBound) { end, id in
        guard let score = score(id, end - at) else { return }
        offer(id, at, end, till + score)
        if end == next { isKnown = true }
      }
      if !isKnown { offer(unknownID, at, next, rounded(till + unknown())) }
      at = next
    }
    path.removeAll(keepingCapacity: true)
    var end = range.upperBound
    while end > base {
      let node = best[end - base]
      path.append(Node(id: node.id, start: node.start, end: Int32(truncatingIfNeeded: end)))
      end = Int(node.start)
    }
    path.reverse()
  }
}
