/// The steps of a `tokenizer.json`.
struct Pipeline: Sendable {
  var normalizer: Normalizer?
  var preTokenizer: PreTokenizer?
  var model: TokenModel
  var postProcessor: PostProcessor?
  var decoder: TokenDecoder?
  var added: AddedTokens

  var vocabularySize: Int {
    model.vocabulary.count + added.tokens.count { model.vocabulary.id($0.content) == nil }
  }

  func id(_ token: [UInt8]) -> Int? { added.id(token) ?? model.vocabulary.id(token).map(Int.init) }

  func token(_ id: Int) -> ArraySlice<UInt8>? {
    if let token = added.token(id) { return ArraySlice(token.content) }
    return model.vocabulary.token(id)
  }

  func encode(_ text: Bytes, asText: Bool, detailed: Bool, _ workspace: inout Workspace) throws -> Encoding {
    var buffer = try normalize(text, asText: asText, detailed: detailed)
    try preTokenizer?.apply(&buffer)
    if case .bpe(let bpe) = model, bpe.takesBytes {} else { buffer.spellOut() }
    var run = TokenRun(detailed: detailed)
    run.reserve(detailed ? 0 : buffer.pieces.count + buffer.pieces.count / 4)
    try buffer.bytes.withUnsafeBufferPointer { bytes in
      for piece in buffer.pieces {
        if piece.token >= 0 {
          run.append(piece.token, Int(piece.start), Int(piece.end))
          continue
        }
        switch model {
        case .bpe(let bpe): try bpe.encode(bytes, piece.range, isByteLevel: buffer.isByteLevel, &workspace, &run)
        case .unigram(let unigram): try unigram.encode(bytes, piece.range, &workspace, &run)
        case .wordPiece(let wordPiece): try wordPiece.encode(bytes, piece.range, &run)
        case .wordLevel(let wordLevel): try wordLevel.encode(bytes, piece.range, &run)
        }
      }
    }
    var encoding = Encoding()
    encoding.ids = run.ids.map(Int.init)
    if detailed { addDetails(to: &encoding, run, buffer, text) }
    return encoding
  }

  /// Finds added tokens, before and after normalising what stands between them.
  private func normalize(_ text: Bytes, asText: Bool, detailed: Bool) throws -> PieceBuffer {
    let tracked = detailed || (normalizer?.mayRemove ?? false && preTokenizer?.asksForStart ?? false)
    var buffer = PieceBuffer(tracked: tracked)
    guard normalizer != nil || added.hasNormalized else {
      buffer.bytes = Array(text)
      if tracked { buffer.spans = NormalizedText.identity(text, 0..<text.count) }
      added.split(text, normalizedPass: false, specialAsText: asText) { range, token in
        guard !range.isEmpty else { return }
        buffer.pieces.append(Piece(start: Int32(range.lowerBound), end: Int32(range.upperBound), token: Int32(token?.id ?? -1)))
      }
      return buffer
    }
    try added.split(text, normalizedPass: false, specialAsText: asText) { range, token in
      guard !range.isEmpty else { return }
      var part = NormalizedText(text, range, tracked: tracked)
      if let token { return buffer.append(part, token: Int32(token.id)) }
      try normalizer?.apply(&part)
      guard !part.bytes.isEmpty else { return }
      let base = buffer.bytes.count
      buffer.append(part)
      guard added.hasNormalized else { return }
      buffer.pieces.removeLast()
      part.bytes.withUnsafeBufferPointer { bytes in
        added.split(bytes, normalizedPass: true, specialAsText: asText) { inner, token in
          guard !inner.isEmpty else { return }
          buffer.pieces.append(
            Piece(start: Int32(base + inner.lowerBound), end: Int32(base + inner.upperBound), token: Int32(token?.id ?? -1)))
        }
      }
    }
    return buffer
  }

  private func addDetails(to encoding: inout Encoding, _ run: TokenRun, _ buffer: PieceBuffer, _ text: Bytes) {
    let places = CodePoints(text)
    var piece = 0
    for (id, range) in zip(run.ids, run.ranges) {
      while piece < buffer.pieces.count, buffer.pieces[piece].end <= range.start, range.end > range.start { piece += 1 }
      var start = 0
      var end = 0
      if range.end > range.start, Int(range.end) <= buffer.spans.count {
        start = Int(buffer.spans[Int(range.start)].start)
        end = Int(buffer.spans[Int(range.end) - 1].end)
      }
      encoding.offsets.append(places.range(start, end))
      encoding.tokens.append(tokenText(id, range, buffer, isAdded: piece < buffer.pieces.count && buffer.pieces[piece].token >= 0))
      encoding.isTemplate.append(false)
    }
  }

  /// Tokens are written as the vocabulary does, but added ones and Unigram's unknown ones as the text does.
  private func tokenText(_ id: Int32, _ range: Span, _ buffer: PieceBuffer, isAdded: Bool) -> String {
    var asText = isAdded
    if case .unigram(let unigram) = model, id == unigram.unknownID { asText = true }
    let token = asText ? buffer.bytes[Int(range.start)..<Int(range.end)] : model.vocabulary.token(Int(id)) ?? []
    return String(decoding: token, as: UTF8.self)
  }

  func decode(_ ids: [Int], skipSpecial: Bool) -> String {
    var tokens: [[UInt8]] = []
    tokens.reserveCapacity(ids.count)
    for id in ids {
      if let token = added.token(id) {
        if !skipSpecial || !token.special { tokens.append(token.content) }
      } else if let token = model.vocabulary.token(id) {
        tokens.append(Array(token))
      }
    }
    guard let decoder else { return String(decoding: Array(tokens.joined(separator: [0x20])), as: UTF8.self) }
    return String(decoding: Array(decoder.apply(tokens).joined()), as: UTF8.self)
  }
}

/// From byte offsets to code points.
struct CodePoints {
  /// Index of the code point that holds each byte.
  private var index: [Int32] = []
  private let count: Int

  init(_ text: Bytes) {
    index.reserveCapacity(text.count)
    var at: Int32 = -1
    for byte in text {
      if byte & 0xC0 != 0x80 { at += 1 }
      index.append(at)
    }
    count = Int(at) + 1
  }

  func range(_ start: Int, _ end: Int) -> Range<Int> {
    let from = start < index.count ? Int(index[start]) : count
    let to = end < index.count ? Int(index[end]) : count
    return from..<max(from, to)
  }
}
