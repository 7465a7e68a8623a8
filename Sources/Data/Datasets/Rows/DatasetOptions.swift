/// What loss is taken over.
public enum TrainOn: String, CaseIterable, Hashable, Sendable, Codable {
  /// The assistant's turns with their stop tokens.
  case responses
  /// Every token.
  case all
}

/// How a data set is opened.
public struct DatasetOptions: Hashable, Sendable {
  /// How rows are written.
  public var layout: DataLayout
  /// Whether rows without an answer are errors.
  public var trainOn: TrainOn
  /// So many bad rows are left out; one more is an error.
  public var skipBadRows: Int
  /// Number of token ids the model knows; checks the ids of layout `tokens`.
  public var vocabulary: Int?

  /// Options of a layout.
  public init(layout: DataLayout, trainOn: TrainOn = .responses, skipBadRows: Int = 0, vocabulary: Int? = nil) {
    self.layout = layout
    self.trainOn = trainOn
    self.skipBadRows = skipBadRows
    self.vocabulary = vocabulary
  }
}
