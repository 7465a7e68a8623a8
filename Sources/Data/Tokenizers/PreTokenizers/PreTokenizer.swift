/// A step that cuts normalised text into the pieces that the model sees. Named as in `tokenizer.json`.
indirect enum PreTokenizer: Sendable {
  enum PrependScheme: String, Sendable { case first, never, always }

  case byteLevel(addPrefixSpace: Bool, usesRegex: Bool)
  case split(TextPattern, SplitBehavior, invert: Bool)
  case metaspace(replacement: UInt32, PrependScheme, split: Bool)
  case whitespace
  case whitespaceSplit
  case bert
  case punctuation(SplitBehavior)
  case digits(individual: Bool)
  case delimiter(UInt32)
  case unicodeScripts
  case fixedLength(Int)
  case sequence([PreTokenizer])

  func apply(_ buffer: inout PieceBuffer) throws {
    if case .sequence(let steps) = self {
      for step in steps { try step.apply(&buffer) }
      return
    }
    buffer.spellOut()
    switch self {
    case .byteLevel(let addPrefixSpace, let usesRegex):
      if addPrefixSpace { buffer.prependSpaces() }
      if usesRegex { try buffer.split(.regex(Self.gpt2.get()), .isolated) }
      buffer.isByteLevel = true
    case .split(let pattern, let behavior, let invert): try buffer.split(pattern, behavior, invert: invert)
    case .metaspace(let replacement, let scheme, let split): buffer.metaspace(replacement, scheme, split: split)
    case .whitespace: try buffer.split(.regex(Self.words.get()), .removed, invert: true)
    case .whitespaceSplit: buffer.split(.removed) { UnicodeTables.whitespaceSet.contains($0) }
    case .bert:
      buffer.split(.removed) { UnicodeTables.whitespaceSet.contains($0) }
      buffer.split(.isolated) { OldUnicode.punctuation.contains($0) }
    case .punctuation(let behavior): buffer.split(behavior) { OldUnicode.punctuation.contains($0) }
    case .digits(let individual): buffer.split(individual ? .isolated : .contiguous) { Self.numeric.contains($0) }
    case .delimiter(let delimiter): buffer.split(.removed) { $0 == delimiter }
    case .unicodeScripts: buffer.splitByScript()
    case .fixedLength(let length): buffer.split(every: length)
    case .sequence: break
    }
  }

  /// Whether the result depends on which piece starts the original text.
  var asksForStart: Bool {
    switch self {
    case .metaspace(_, .first, _): true
    case .sequence(let steps): steps.contains(where: \.asksForStart)
    default: false
    }
  }

  private static let gpt2 = Result {
    try RegexProgram(#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#)
  }
  /// Rust's `\w`, spelt out: Oniguruma's, which `RegexProgram` follows, differs.
  private static let words = Result {
    try RegexProgram(#"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+"#)
  }
  /// `char::is_numeric` of Rust, which follows the newest Unicode.
  private static let numeric = ScalarSet(UnicodeTables.numbers.union(UnicodeTables.newNumbers))
}

extension PieceBuffer {
  /// Cuts the text pieces at the matches of a pattern.
  mutating func split(_ pattern: TextPattern, _ behavior: SplitBehavior, invert: Bool = false) throws {
    var writer = SplitWriter(behavior, invert: invert, capacity: Swift.max(pieces.count, bytes.count / 6))
    try bytes.withUnsafeBufferPointer { text in
      if case .regex(let program) = pattern {
        var matcher = RegexMatcher(program)
        try each(&writer) { range, writer in try matcher.matches(in: text, range) { writer.match($0, $1) } }
      } else {
        try each(&writer) { range, writer in try pattern.matches(in: text, range) { writer.match($0, $1) } }
      }
    }
    pieces = writer.pieces
  }

  /// Cuts the text pieces at every scalar that `isMatch` picks.
  mutating func split(_ behavior: SplitBehavior, _ isMatch: (UInt32) -> Bool) {
    var writer = SplitWriter(behavior, capacity: Swift.max(pieces.count, bytes.count / 6))
    bytes.withUnsafeBufferPointer { text in
      each(&writer) { range, writer in
        var at = range.lowerBound
        while at < range.upperBound {
          let (c, next) = text.scalar(at: at)
          if isMatch(c) { writer.match(at, next) }
          at = next
        }
      }
    }
    pieces = writer.pieces
  }

  @inline(__always)
  private func each(_ writer: inout SplitWriter, _ body: (Range<Int>, inout SplitWriter) throws -> Void) rethrows {
    for piece in pieces {
      if piece.token >= 0 {
        writer.keep(piece)
      } else {
        writer.begin(piece.range)
        try body(piece.range, &writer)
        writer.finish(piece.range)
      }
    }
  }

  /// Puts a space before every text piece that has none.
  mutating func prependSpaces() {
    guard pieces.contains(where: { $0.token < 0 && bytes[Int($0.start)] != 0x20 }) else { return }
    rewriteText { text, _ in if text.bytes.first != 0x20 { text.prepend([0x20]) } }
  }

  mutating func metaspace(_ replacement: UInt32, _ scheme: PreTokenizer.PrependScheme, split: Bool) {
    var mark: [UInt8] = []
    mark.append(scalar: replacement)
    var result = PieceBuffer(tracked: tracked)
    result.bytes.reserveCapacity(bytes.count + bytes.count / 2)
    result.pieces.reserveCapacity(pieces.count)
    if let first = pieces.first, !startsOriginal(first) { result.pad() }
    for piece in pieces {
      let start = result.bytes.count
      if piece.token >= 0 {
        result.copy(self, piece.range)
      } else {
        let isMarked = bytes[Int(piece.start)] == 0x20 || bytes[piece.range].starts(with: mark)
        let prepends = scheme == .always || (scheme == .first && startsOriginal(piece))
        if prepends, !isMarked { result.write(mark, like: self, Int(piece.start)) }
        var done = Int(piece.start)
        for at in piece.range where bytes[at] == 0x20 {
          result.copy(self, done..<at)
          result.write(mark, like: self, at)
          done = at + 1
        }
        result.copy(self, done..<Int(piece.end))
      }
      result.pieces.append(Piece(start: Int32(start), end: Int32(result.bytes.count), token: piece.token))
    }
    self = result
    if split { self.split(.mergedWithNext) { $0 == replacement } }
  }

  mutating func split(every length: Int) {
    var result: [Piece] = []
    bytes.withUnsafeBufferPointer { text in
      for piece in pieces where piece.end > piece.start {
        guard piece.token < 0 else {
          result.append(piece)
          continue
        }
        var start = Int(piece.start)
        while start < Int(piece.end) {
          var end = start
          for _ in 0..<length where end < Int(piece.end) { end += Bytes.width(text[end]) }
          result.append(Piece(start: Int32(start), end: Int32(end)))
          start = end
        }
      }
    }
    pieces = result
  }

  /// Cuts where the script changes, as SentencePiece's trainer does; kana counts as Han.
  mutating func splitByScript() {
    var result: [Piece] = []
    bytes.withUnsafeBufferPointer { text in
      for piece in pieces {
        guard piece.token < 0 else {
          result.append(piece)
          continue
        }
        var cuts: [Int] = []
        var last: Int?
        var at = Int(piece.start)
        while at < Int(piece.end) {
          let (c, next) = text.scalar(at: at)
          let script = UnicodeScripts.forSplitting(c)
          if let script {
            // The first scalar of a script cuts, even at the start: what stands before the first cut is lost there too.
            if last != script { cuts.append(at) }
            last = script
          }
          at = next
        }
        cuts.append(Int(piece.end))
        for (start, end) in zip(cuts, cuts.dropFirst()) where end > start { result.append(Piece(start: Int32(start), end: Int32(end))) }
      }
    }
    pieces = result
  }
}
