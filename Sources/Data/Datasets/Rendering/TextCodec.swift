/// What rendering needs of a tokenizer.
public struct TextCodec: Sendable {
  package let encode: @Sendable (_ text: String, _ addsSpecialTokens: Bool) throws -> (ids: [Int], offsets: [Range<Int>])
  package let decode: @Sendable ([Int]) -> String
  /// The token that ends a sequence.
  package let end: Int?
  /// Tokens that end an answer.
  package let stops: Set<Int>

  package init(
    encode: @escaping @Sendable (String, Bool) throws -> (ids: [Int], offsets: [Range<Int>]), decode: @escaping @Sendable ([Int]) -> String,
    end: Int?, stops: Set<Int>
  ) {
    self.encode = encode
    self.decode = decode
    self.end = end
    self.stops = end.map { stops.union([$0]) } ?? stops
  }
}

/// What rendering needs of a chat template.
public struct ConversationTemplate: Sendable {
  /// The template's source.
  package let source: String
  /// The conversation's text, with the assistant's turns as spans of code points.
  package let render: @Sendable (Conversation) throws -> (text: String, answers: [Range<Int>])

  package init(source: String, render: @escaping @Sendable (Conversation) throws -> (text: String, answers: [Range<Int>])) {
    self.source = source
    self.render = render
  }
}
