/// A row as the model sees it.
public struct TokenizedRow: Hashable, Sendable {
  /// Token ids.
  public let ids: [Int32]
  /// For each id the label at the same place (the id, or −100 where it is not trained on). Not shifted: the prediction at place t is
  /// compared with the label at t + 1.
  public let labels: [Int32]

  /// The label of what is not trained on.
  public static let ignored: Int32 = -100

  /// A row.
  /// - Precondition: as many labels as ids.
  public init(ids: [Int32], labels: [Int32]) {
    precondition(ids.count == labels.count, "\(labels.count) labels for \(ids.count) ids")
    self.ids = ids
    self.labels = labels
  }

  /// Tokens that the loss counts: all labels but the first, which nothing predicts.
  public var trainedTokens: Int { labels.dropFirst().count { $0 != Self.ignored } }
}

/// Text with the parts that are to be trained on.
public struct RenderedText: Hashable, Sendable {
  /// The text.
  public let text: String
  /// The answers in it, in code points, in order; nil where everything is trained on.
  public let answers: [Range<Int>]?
  /// Whether the tokenizer adds its own special tokens (chat templates write them into the text).
  public let addsSpecialTokens: Bool
  /// Whether the end-of-sequence token follows.
  public let appendsEnd: Bool

  /// A rendered row.
  public init(text: String, answers: [Range<Int>]?, addsSpecialTokens: Bool = false, appendsEnd: Bool = false) {
    self.text = text
    self.answers = answers
    self.addsSpecialTokens = addsSpecialTokens
    self.appendsEnd = appendsEnd
  }
}

/// What the report wants to know of a row beyond its tokens.
struct RowFacts: Hashable, Sendable {
  /// Tokens and trained tokens before the row was cut to the context.
  var fullCount: Int
  var fullTrained: Int
  /// Answers, and those of them that do not end in a trained stop token.
  var answers = 0
  var answersWithoutStop = 0
}
