/// Turns rows into token ids and labels: renders, tokenizes, masks, cuts to the context.
///
/// What is trained on comes from the template's own rendering, turn by turn, never from a search for token strings. The stop token after
/// an answer is always trained on; there is no padding.
public struct RowRenderer: Sendable {
  /// The tokenizer.
  public let codec: TextCodec
  /// The chat template, where the model has one.
  public let template: ConversationTemplate?
  /// What loss is taken over.
  public let trainOn: TrainOn
  /// The longest row in tokens; the start of a longer one is kept.
  public let contextLength: Int
  /// Whether rows may be longer than the context, because packing splits them.
  public let keepsLongRows: Bool

  /// A renderer.
  /// - Precondition: a positive context length.
  public init(
    codec: TextCodec, template: ConversationTemplate?, trainOn: TrainOn = .responses, contextLength: Int, keepsLongRows: Bool = false
  ) {
    precondition(contextLength > 0, "a positive context length is wanted, found \(contextLength)")
    self.codec = codec
    self.template = template
    self.trainOn = trainOn
    self.contextLength = contextLength
    self.keepsLongRows = keepsLongRows
  }

  /// The text of a row; nil for a row of token ids.
  /// - Throws: `DatasetError` for a conversation without a template, or what the template says.
  public func text(of example: Example) throws -> RenderedText? {
    switch example {
    case .tokens: return nil
    case .text(let text): return RenderedText(text: text, answers: nil, addsSpecialTokens: true, appendsEnd: true)
    case .instruction(let row):
      if template != nil { return try conversation(row.conversation) }
      let text = AlpacaPrompt.text(row)
      return trainOn == .responses ? text : RenderedText(text: text.text, answers: nil, addsSpecialTokens: true, appendsEnd: true)
    case .conversation(let conversation): return try self.conversation(conversation)
    }
  }

  private func conversation(_ row: Conversation) throws -> RenderedText {
    guard let template else {
      throw DatasetError(
        "the model has no chat template, which conversations need\n  fix: take a model with one, or put a chat_template.jinja beside its tokenizer"
      )
    }
    let rendered = try template.render(row)
    return RenderedText(text: rendered.text, answers: trainOn == .responses ? rendered.answers : nil)
  }

  /// The row's ids and labels, cut to the context.
  /// - Throws: as `text(of:)`, and what the tokenizer says.
  public func tokenize(_ example: Example) throws -> TokenizedRow { try render(example).row }

  func render(_ example: Example) throws -> (row: TokenizedRow, facts: RowFacts) {
    if case .tokens(let ids, let labels) = example {
      let row = TokenizedRow(ids: ids, labels: labels)
      return (cut(row), RowFacts(fullCount: ids.count, fullTrained: row.trainedTokens))
    }
    guard let text = try text(of: example) else { return (TokenizedRow(ids: [], labels: []), RowFacts(fullCount: 0, fullTrained: 0)) }
    let (row, answers) = try tokens(of: text)
    var facts = RowFacts(fullCount: row.ids.count, fullTrained: row.trainedTokens, answers: answers.count)
    facts.answersWithoutStop = answers.count { lastStop($0, row.ids) == nil }
    return (cut(row), facts)
  }

  /// The whole row, and the tokens of each answer, its stop token included.
  func tokens(of text: RenderedText) throws -> (row: TokenizedRow, answers: [Range<Int>]) {
    var (ids, offsets) = try codec.encode(text.text, text.addsSpecialTokens)
    if text.appendsEnd, let end = codec.end, ids.last != end {
      ids.append(end)
      offsets.append(0..<0)
    }
    let small = ids.map { Int32(truncatingIfNeeded: $0) }
    guard let spans = text.answers else { return (TokenizedRow(ids: small, labels: small), []) }
    let answers = TokenMask.tokens(in: spans, offsets: offsets).map { withStop($0, small) }
    var labels = [Int32](repeating: TokenizedRow.ignored, count: ids.count)
    for answer in answers { labels.replaceSubrange(answer, with: small[answer]) }
    return (TokenizedRow(ids: small, labels: labels), answers)
  }

  /// The answer with the stop token that follows it, where the template left it outside.
  private func withStop(_ answer: Range<Int>, _ ids: [Int32]) -> Range<Int> {
    guard answer.upperBound < ids.count, codec.stops.contains(Int(ids[answer.upperBound])), lastStop(answer, ids) == nil else {
      return answer
    }
    return answer.lowerBound..<answer.upperBound + 1
  }

  /// The stop token that ends an answer; white space may follow it (templates end a turn with a line break).
  private func lastStop(_ answer: Range<Int>, _ ids: [Int32]) -> Int? {
    for place in answer.reversed().prefix(4) {
      if codec.stops.contains(Int(ids[place])) { return place }
      if !codec.decode([Int(ids[place])]).allSatisfy(\.isWhitespace) { return nil }
    }
    return nil
  }

  private func cut(_ row: TokenizedRow) -> TokenizedRow {
    guard row.ids.count > contextLength, !keepsLongRows else { return row }
    return TokenizedRow(ids: Array(row.ids.prefix(contextLength)), labels: Array(row.labels.prefix(contextLength)))
  }
}
