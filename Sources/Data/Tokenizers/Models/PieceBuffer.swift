/// A stretch of a `PieceBuffer`: text still to be tokenized, or an added token.
struct Piece {
  var start: Int32
  var end: Int32
  /// The id of an added token, -1 for text.
  var token: Int32 = -1

  var range: Range<Int> { Int(start)..<Int(end) }
}

/// The normalised text and how it is cut.
struct PieceBuffer {
  var bytes: [UInt8]
  /// The origin of each byte; empty where nobody asks for offsets.
  var spans: [Span]
  let tracked: Bool
  var pieces: [Piece]
  /// Bytes stand for the characters of GPT-2's alphabet: kept as they are as long as nobody looks at the characters.
  var isByteLevel = false

  init(tracked: Bool) {
    bytes = []
    spans = []
    pieces = []
    self.tracked = tracked
  }

  mutating func append(_ text: NormalizedText, token: Int32 = -1) {
    let start = Int32(bytes.count)
    bytes += text.bytes
    spans += text.spans
    pieces.append(Piece(start: start, end: Int32(bytes.count), token: token))
  }

  /// Whether a piece starts where the original text starts.
  func startsOriginal(_ piece: Piece) -> Bool {
    tracked ? piece.end > piece.start && spans[Int(piece.start)].start == 0 : piece.start == 0
  }

  /// Writes every piece anew: `body` gets the text of a piece and appends what it becomes.
  mutating func rewriteText(_ body: (inout NormalizedText, Piece) -> Void) {
    var result = PieceBuffer(tracked: tracked)
    result.bytes.reserveCapacity(bytes.count + pieces.count)
    result.pieces.reserveCapacity(pieces.count)
    if let first = pieces.first, !startsOriginal(first) { result.pad() }
    for piece in pieces {
      var text = NormalizedText(
        bytes: Array(bytes[piece.range]), spans: tracked ? Array(spans[piece.range]) : [], tracked: tracked)
      if piece.token < 0 { body(&text, piece) }
      result.append(text, token: piece.token)
    }
    self = result
  }

  /// Adds a byte that belongs to no piece: it keeps the first piece from seeming to start the original.
  mutating func pad() {
    bytes.append(0x20)
    if tracked { spans.append(Span(start: 0, end: 0)) }
  }

  @inline(__always)
  mutating func copy(_ source: borrowing PieceBuffer, _ range: Range<Int>) {
    bytes.append(contentsOf: source.bytes[range])
    if tracked { spans.append(contentsOf: source.spans[range]) }
  }

  /// Writes bytes that come from where byte `at` of `source` came from.
  @inline(__always)
  mutating func write(_ new: [UInt8], like source: borrowing PieceBuffer, _ at: Int) {
    bytes.append(contentsOf: new)
    if tracked { spans.append(contentsOf: repeatElement(source.spans[at], count: new.count)) }
  }

  /// Turns bytes that stand for characters of GPT-2's alphabet into these characters.
  mutating func spellOut() {
    guard isByteLevel else { return }
    isByteLevel = false
    rewriteText { text, _ in text.spellBytes() }
  }
}

extension NormalizedText {
  init(bytes: [UInt8], spans: [Span], tracked: Bool) {
    self.bytes = bytes
    self.spans = spans
    self.tracked = tracked
    origin = 0
  }

  /// Every byte becomes its character, valid UTF-8 or not.
  mutating func spellBytes() {
    let old = self
    bytes = []
    spans = []
    for (index, byte) in old.bytes.enumerated() {
      append(ByteAlphabet.scalars[Int(byte)], from: tracked ? old.spans[index] : Span(start: 0, end: 0))
    }
  }
}
